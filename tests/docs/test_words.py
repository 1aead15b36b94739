"""What the pages name is there: commands and options, targets of make, extras, settings, checks, files."""

import re
from functools import lru_cache

import pytest
from django.core.management import get_commands, load_command_class

from rill_django.conf import Configuration
from tests.docs.pages import PAGES, ROOT, text_of

# The decisions and the changelog tell what was.
OF_TODAY = [page for page in PAGES if page != "CHANGELOG.md" and "/decisions/" not in page]
OURS = sorted(
    path.stem
    for path in (ROOT / "rill_django/management/commands").glob("*.py")
    if path.stem != "__init__"
)
# django-tenants runs a command for a tenant: its own words come before ours.
WRAPPERS = ("tenant_command", "all_tenants_command")

_CODE = re.compile(
    r"`(?P<span>[^`\n]+)`|^(?P<line>[^`\n]*manage\.py (?:[^\n]*\\\n)*[^\n]*)$", re.MULTILINE
)


def calls(text):
    """Every call of a management command in a text: its words after `manage.py`."""
    for match in _CODE.finditer(text):
        code = (match["span"] or match["line"]).replace("\\\n", " ")
        for part in re.split(r"\s[|>#]\s?|;|&&", code):
            words = re.sub(r"[\[\]…=]", " ", part).split()
            if "manage.py" in part:
                start = next(i for i, word in enumerate(words) if word.endswith("manage.py"))
                words = words[start + 1 :]
            elif not words or words[0] not in OURS:
                continue
            while words and words[0] in WRAPPERS:
                words = [
                    word for word in words[1:] if word not in ("--schema", "--no-public", "north")
                ]
            if words:
                yield words


@lru_cache
def options_of(name):
    command = load_command_class(get_commands()[name], name)
    parser = command.create_parser("manage.py", name)
    return {option for action in parser._actions for option in action.option_strings}


def faults_of(text):
    for name, *words in calls(text):
        if not re.fullmatch(r"\w+", name):
            continue  # `manage.py …`
        if name not in get_commands():
            yield f"there is no command {name}"
            continue
        for word in words:
            option = word.strip("`'\"().,:")
            if re.fullmatch(r"--?[a-z][\w-]*", option) and option not in options_of(name):
                yield f"{name} has no option {option}"


@pytest.mark.parametrize("page", OF_TODAY)
def test_commands_of(page):
    assert list(faults_of(text_of(page))) == []


def test_faults_of_commands_are_found():
    text = (
        "Run `manage.py rebuild_projections --verify --sloppy`, or `run_projections --twice`.\n"
        "$ .venv/bin/python manage.py no_such_thing --x\n"
        "$ python manage.py export_events --after 3 \\\n    --outptu x\n"
        "$ A=1 python manage.py tenant_command rebuild_projections --schema=north --verfiy\n"
        "`retry_projection NAME [--skip EVENT --reason …]`, `manage.py …`, `--format json`\n"
    )
    assert list(faults_of(text)) == [
        "rebuild_projections has no option --sloppy",
        "run_projections has no option --twice",
        "there is no command no_such_thing",
        "export_events has no option --outptu",
        "rebuild_projections has no option --verfiy",
    ]


def test_every_command_and_option_of_ours_is_documented():
    said = "\n".join(map(text_of, OF_TODAY))
    # Django documents those of its own.
    common = options_of("check") | options_of("runserver") | {"--skip-checks", "--noinput"}
    for name in OURS:
        assert f"`{name}" in said, name
        missing = [
            option
            for option in options_of(name)
            if option.startswith("--") and option not in common and option not in said
        ]
        assert (name, missing) == (name, [])


def test_targets_of_make():
    targets = set(re.findall(r"^([a-z]+):", (ROOT / "Makefile").read_text(), re.MULTILINE))
    for page in OF_TODAY:
        for target in re.findall(r"(?:`|^\$ |^)make ([a-z]+)", text_of(page), re.MULTILINE):
            assert target in targets, (page, target)


def test_extras_are_those_of_the_package():
    text = (ROOT / "pyproject.toml").read_text()
    section = text.split("[project.optional-dependencies]")[1].split("\n[")[0]
    extras = set(re.findall(r"^(\w+) =", section, re.MULTILINE))
    table = text_of("docs/reference.md").split("## Extras")[1].split("## ")[0]
    assert set(re.findall(r"^\| `(\w+)`", table, re.MULTILINE)) == extras
    for page in OF_TODAY:
        for named in re.findall(r"(?:rill-django|checkout)\[([\w,]+)\]", text_of(page)):
            assert set(named.split(",")) <= extras, (page, named)


def test_settings_are_all_in_the_reference():
    table = text_of("docs/reference.md").split("## Settings")[1].split("## ")[0]
    names = {name.upper() for name in Configuration.__struct_fields__}
    assert set(re.findall(r"^\| `(\w+)`", table, re.MULTILINE)) == names
    for page in OF_TODAY:
        for named in re.findall(r'RILL\["(\w+)"\]', text_of(page)):
            assert named in names, (page, named)


def test_system_checks_are_all_in_the_reference():
    sources = "\n".join(path.read_text() for path in (ROOT / "rill_django").rglob("*.py"))
    made = set(re.findall(r'id="(rill\.[EW]\d+)"', sources))
    table = text_of("docs/reference.md").split("## System checks")[1].split("## ")[0]
    listed = re.findall(r"^\| `(rill\.[EW]\d+)`", table, re.MULTILINE)
    assert sorted(listed) == sorted(made)
    assert listed == sorted(listed)


def test_files_that_console_blocks_name_are_there():
    for page in OF_TODAY:
        for path in re.findall(r"(?:pytest|python3) ((?:tests|tools)/[\w/.]+)", text_of(page)):
            assert (ROOT / path).exists(), (page, path)
