"""The other pages, each in the project of the tutorial."""

import configparser

import pytest

from tests.docs.pages import (
    PAGES,
    Block,
    all_blocks,
    number_of_python_blocks,
    prose_of,
    python_blocks,
)
from tests.docs.project import Project, worker
from tests.once import once

RUN_BY = {
    "README.md": "tests/docs/test_tutorial.py",
    "docs/deployment.md": "tests/docs/test_pages.py",
    "docs/failures.md": "tests/docs/test_pages.py",
    "docs/form-and-view.md": "tests/docs/test_form_and_view.py",
    "docs/guide.md": "tests/docs/test_guide.py",
    "docs/observing.md": "tests/docs/test_pages.py",
    "docs/rebuilding.md": "tests/docs/test_pages.py",
    "docs/reference.md": "tests/docs/test_pages.py",
    "docs/tenants.md": "tests/tenants/test_django_tenants.py",
}
LANGUAGES = {"console", "dockerfile", "html", "ini", "json", "python", "sql", "text", "yaml"}

CHECK = ["check", "--database", "default", "--fail-level", "WARNING"]

LOOK = """
from django.test import Client

client = Client(headers={"host": "localhost"})
answer = client.get("/projections/")
assert (answer.status_code, answer.json()) == (200, {"problems": []}), answer.content
assert client.get("/health/").status_code == 200
assert b"rill_log_position 3.0" in client.get("/metrics/").content

from rill_django.projections.observing import observe_batch

observe_batch("bank.Balances", 2, 2, 4, 0.5)
assert rates["bank.Balances"] == 8
"""


def test_every_page_with_code_is_run():
    assert {page for page in PAGES if number_of_python_blocks(page)} == set(RUN_BY)


@pytest.mark.parametrize("page", PAGES)
def test_blocks_say_what_they_are(page):
    for one in all_blocks(page):
        named = f"{page}:{one.line} is {one.language or 'in no language'}"
        assert one.language in LANGUAGES, f"{named}. It may be: {', '.join(sorted(LANGUAGES))}."
    assert len(python_blocks(page)) == number_of_python_blocks(page)


def test_lines_of_code_are_as_long_as_ours():
    # `ruff format`, which breaks lines on these pages too, leaves comments and texts alone.
    for page in RUN_BY:
        for block in python_blocks(page):
            assert max(map(len, block.code.splitlines())) <= 100, (page, block.line)


@pytest.mark.parametrize("page", [page for page in PAGES if page != "CHANGELOG.md"])
def test_lines_of_prose_fit_a_screen(page):
    for line in prose_of(page).splitlines():
        assert len(line) <= 120 or line.startswith("|"), f"{page}, more than 120 characters: {line}"


def test_all_blocks_for_tenants_are_run():
    # `tests.tenants` takes the page apart by hand: these two.
    assert number_of_python_blocks("docs/tenants.md") == 2


def check(project: Project) -> None:
    project.manage(*CHECK)


@once
@pytest.mark.parametrize("page", ["docs/failures.md", "docs/rebuilding.md"])
def test_projections_that_take_the_place_of_others(tutorial, page):
    for block in python_blocks(page):
        tutorial.write(block)
        tutorial.calls(
            CHECK,
            ["run_projections", "--once"],
            ["rebuild_projections", "--no-input", "-v0"],
            ["rebuild_projections", "--verify", "-v0"],
        )
    assert tutorial.has_done_all_of(page)


@once
def test_the_reference(empty):
    empty.follow("docs/reference.md")
    check(empty)
    assert empty.has_done_all_of("docs/reference.md")


@once
def test_deployment(tutorial, monkeypatch):
    (settings,) = python_blocks("docs/deployment.md")
    tutorial.write(settings)
    for name in ("SECRET_KEY", "DATABASE_PASSWORD"):
        monkeypatch.setenv(
            name, "of the test, and long enough for the check to say nothing 0123456789"
        )
    tutorial.manage("check", "--deploy", "--fail-level", "WARNING")
    assert tutorial.has_done_all_of("docs/deployment.md")


def test_units_of_systemd_can_be_read():
    units = [one.code for one in all_blocks("docs/deployment.md") if one.language == "ini"]
    for unit in units:
        read = configparser.ConfigParser(strict=True, interpolation=None)
        read.read_string(unit)
        assert read["Service"]["ExecStart"].startswith("/")
    assert len(units) == 3


@once
def test_observing(tutorial):
    pytest.importorskip("health_check.views")
    page = "docs/observing.md"
    tutorial.follow(page, shell=False)
    check(tutorial)
    given = [block for block in python_blocks(page) if block.file is None]
    with worker(tutorial):
        tutorial.shell([*map(patient, given), Block("tests/docs/test_pages.py", 1, "python", LOOK)])
    tutorial.manage("test", "bank", "-v0")
    tutorial.run("-m", "pytest", "-q", "bank/test_accounts.py", "--ds", "mysite.settings")
    assert tutorial.has_done_all_of(page)


def patient(block):
    """The same block, for a machine that has much else to do."""
    return Block(
        block.page, block.line, block.language, block.code.replace("timeout=2", "timeout=99")
    )
