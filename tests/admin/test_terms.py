"""What a term of the search may stand for."""

import unicodedata

import pytest
from hypothesis import given
from hypothesis import strategies as st

from rill_django.admin.terms import MOST_BEGINNINGS, beginnings, interpreted
from rill_django.domain.streams import MAX_STREAM_LENGTH, stream_name

ONE = {"bank.Account": 1}
TWO = {"shop.Order": 2}


@pytest.mark.parametrize(
    ("term", "keys"),
    [
        ("1234", ("1234",)),
        ("Zoë", ("Zoë",)),
        ("zoë", ("Zoë",)),
        ("ZOË", ("Zoë",)),
        (unicodedata.normalize("NFD", "Zoë"), ("Zoë",)),
        ("Zoë", (unicodedata.normalize("NFD", "Zoë"),)),
        ("abc-1", ("ABC-1",)),
        ("ann smith", ("Ann Smith",)),
        ("a/b", ("a/b",)),
        ("50%", ("50%",)),
        ("%41", ("%41",)),
        ("Zo%C3%AB", ("Zoë",)),
        ("bank.Account/Zo%C3%AB", ("Zoë",)),
        ("bank.Account/Zoë", ("Zoë",)),
        ("Bank.account/zoë", ("Zoë",)),
        ("ann@example.org", ("ann@example.org",)),
        ("7B3E1C2AFFFF4E1DA1B2C3D4E5F60718", ("7b3e1c2a-ffff-4e1d-a1b2-c3d4e5f60718",)),
        ("東京", ("東京",)),
        ("ανδρεας", ("ΑΝΔΡΕΑΣ",)),
    ],
)
def test_a_key_is_found_in_the_letters_that_people_type(term, keys):
    assert stream_name("bank.Account", keys) in beginnings(term, ONE)


@pytest.mark.parametrize(
    ("term", "keys"),
    [
        ("a/b/c", ("a", "b/c")),
        ("a/b/c", ("a/b", "c")),
        ("Zoë/1", ("Zoë", "1")),
        ("shop.Order/a/b/c", ("a/b", "c")),
        ("a/", ("a", "")),
    ],
)
def test_a_slash_is_in_a_key_or_between_two(term, keys):
    assert stream_name("shop.Order", keys) in beginnings(term, TWO)


@pytest.mark.parametrize(
    ("term", "version", "name"),
    [
        ("bank.Account/1@3", 3, "bank.Account/1"),
        ("Zoë@12", 12, "bank.Account/Zo%C3%AB"),
        ("ann@example.org@0", 0, "bank.Account/ann@example.org"),
    ],
)
def test_an_event_is_named_with_its_version(term, version, name):
    found = interpreted(term, ONE)
    assert found.version == version
    assert name in found.names


@pytest.mark.parametrize(
    ("term", "position"),
    [
        ("1234", 1234),
        ("1,234", 1234),
        ("1\N{NARROW NO-BREAK SPACE}234", 1234),
        ("1'234'567", 1234567),
        ("9" * 19, None),
        ("12a", None),
        ("", None),
    ],
)
def test_a_number_is_a_position_too(term, position):
    assert interpreted(term, ONE).position == position


@pytest.mark.parametrize("term", ["", "\0", "a\0b", "\ud800", "x" * 256, "@" * 300])
def test_what_no_stream_is_named_stands_for_nothing(term):
    assert interpreted(term, ONE).beginnings == ()


@given(st.text(), st.dictionaries(st.text(min_size=1, max_size=5), st.integers(1, 5), max_size=60))
def test_any_term_stands_for_few_names(term, categories):
    found = interpreted(term, categories)
    for names in (found.beginnings, found.names):
        assert len(names) <= MOST_BEGINNINGS
        assert len(set(names)) == len(names)
        assert all(len(one) <= MAX_STREAM_LENGTH for one in names)


@given(st.text(st.characters(exclude_categories=["Cs"], exclude_characters="\0"), min_size=1))
def test_any_key_is_found_as_it_is(key):
    name = stream_name("bank.Account", (key,))
    if key == key.strip() and len(name) <= MAX_STREAM_LENGTH:
        assert name in interpreted(key, ONE).beginnings


def test_slashes_do_not_multiply():
    assert len(beginnings("/" * 200, {"shop.Order": 5})) <= MOST_BEGINNINGS
