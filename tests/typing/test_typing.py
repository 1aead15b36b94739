"""What type checkers make of a user's code: samples that they accept, and mistakes that they find."""

import re

import pytest

from tests.once import once
from tests.typing.checkers import CHECKERS, SAMPLES, expected

pytestmark = once

MODULES = re.compile(r"\b(?:[a-z_]\w*\.)+(?=[A-Z])")
"""The modules in the names of types, as in ``decimal.Decimal``."""


@pytest.mark.parametrize("checker", CHECKERS)
def test_checkers_find_every_mistake_where_it_is_and_nothing_else(checker, pytestconfig, tmp_path):
    cache = getattr(pytestconfig, "cache", None)  # Not with -p no:cacheprovider.
    report = CHECKERS[checker](cache.mkdir(f"typing-{checker}") if cache else tmp_path)
    marked = expected(checker)
    revealed = {place: MODULES.sub("", text) for place, text in report.revealed.items()}
    assert report.errors == marked.errors
    assert revealed == marked.revealed


@pytest.mark.parametrize("sample", sorted(SAMPLES.glob("*.py")), ids=lambda path: path.name)
def test_samples_say_which_they_are(sample):
    has_errors = "# error: " in sample.read_text()
    assert has_errors == sample.name.endswith("_bad.py")
