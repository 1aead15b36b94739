"""The page of mistakes: each is made, and what it says is what the page says, word by word."""

import linecache
import re
import sys
import types
from itertools import pairwise

import pytest
from django.db import connection
from django.db.transaction import atomic

from rill_django.checks_of_apps import check_installed
from rill_django.testing import isolated_projections, isolated_registry
from tests.docs.pages import all_blocks, text_of

PAGE = "docs/mistakes.md"
PRELUDE = """
from rill_django import Aggregate, Rejected, command, event, key, transact
"""
_SAYING = re.compile(r"^> `(?P<kind>[\w.]+)`: (?P<text>[^\n]*(?:\n> [^\n]*)*)", re.MULTILINE)


def sayings():
    """What the page says of errors, in order: line, kind and text."""
    text = text_of(PAGE)
    for found in _SAYING.finditer(text):
        said = found["text"].replace("\n> ", " ")
        yield text.count("\n", 0, found.start()) + 1, found["kind"], said


DOMAIN, *MISTAKES = all_blocks(PAGE)
ERRORS = [one for one in sayings() if "." not in one[1]]
WARNINGS = [one for one in sayings() if "." in one[1]]


def test_each_mistake_says_something():
    lines = sorted([one.line for one in MISTAKES] + [line for line, _, _ in ERRORS])
    assert lines[::2] == [one.line for one in MISTAKES]
    assert all(after > before for before, after in pairwise(lines))
    assert len(MISTAKES) == len(ERRORS)


def run(code, file, namespace):
    """Run code as if it stood in a file."""
    linecache.cache[file] = (len(code), None, code.splitlines(keepends=True), file)
    try:
        exec(compile(code, file, "exec", dont_inherit=True), namespace)
    finally:
        del linecache.cache[file]


@pytest.mark.django_db
@pytest.mark.parametrize(
    ("mistake", "saying"),
    list(zip(MISTAKES, ERRORS, strict=True)),
    ids=[f"line {one.line}" for one in MISTAKES],
)
def test_it_says_what_the_page_says(mistake, saying):
    namespace = {"__name__": "bank.domain"}
    with isolated_registry(), isolated_projections(), atomic():
        run(PRELUDE, "prelude.py", namespace)
        run(DOMAIN.code, "bank/account.py", namespace)
        with pytest.raises(Exception) as error:  # noqa: PT011 - which one, the page says
            run(mistake.code, "bank/domain.py", namespace)
    _, kind, text = saying
    if connection.vendor != "sqlite" and kind == "QueryInCommand":
        text, said = (one.partition(": SELECT")[0] for one in (text, str(error.value)))
        assert said == text  # Each database has its own SQL.
    else:
        assert f"{error.type.__name__}: {error.value}" == f"{kind}: {text}"


def test_a_warning_says_what_the_page_says(settings, monkeypatch):
    settings.ROOT_URLCONF = ()
    code = "class Order(Aggregate):\n    number: str = key()\n"
    monkeypatch.setitem(sys.modules, "shop.domain", types.ModuleType("shop.domain"))
    with isolated_registry(), isolated_projections():
        namespace = {"__name__": "shop.domain"}
        exec(PRELUDE + code, namespace)
        (warning,) = check_installed(None)
    assert [(warning.id, warning.msg)] == [(kind, text) for _, kind, text in WARNINGS]
