from datetime import date
from enum import Enum
from uuid import UUID

import pytest
from hypothesis import assume, example, given
from hypothesis import strategies as st

from rill_django.domain.streams import split_stream, stream_name

texts = st.text(st.characters(exclude_categories=["Cs"]), min_size=1)
keys = st.lists(texts, min_size=1, max_size=3)


class Size(Enum):
    SMALL = "s/m"
    LARGE = 2


@pytest.mark.parametrize(
    ("values", "name"),
    [
        (["12345678"], "bank.Account/12345678"),
        (["ann@home.org"], "bank.Account/ann@home.org"),
        (["a", 3], "bank.Account/a/3"),
        (["a/b"], "bank.Account/a%2Fb"),
        (["50%"], "bank.Account/50%25"),
        (["a b"], "bank.Account/a%20b"),
        (["Jürgen"], "bank.Account/J%C3%BCrgen"),
        ([date(2024, 2, 29)], "bank.Account/2024-02-29"),
        ([UUID(int=1)], "bank.Account/00000000-0000-0000-0000-000000000001"),
        ([Size.SMALL, Size.LARGE], "bank.Account/s%2Fm/2"),
        (["10:30+02:00"], "bank.Account/10:30+02:00"),
    ],
)
def test_stream_names_are_readable(values, name):
    assert stream_name("bank.Account", tuple(values)) == name


@given(keys)
@example(["a/b", "%2F", "x@3"])
@example([" ", "/", "%"])
@example(["\0", "\U0001f600", "é"])
def test_splitting_is_the_inverse_of_naming(values):
    assert split_stream(stream_name("bank.Account", tuple(values))) == (
        "bank.Account",
        tuple(values),
    )


@given(keys, keys)
@example(["a/b"], ["a", "b"])
@example(["a%2Fb"], ["a/b"])
@example(["é"], ["e\u0301"])
@example(["A"], ["a"])
def test_distinct_keys_have_distinct_streams(one, other):
    assume(one != other)
    assert stream_name("bank.Account", tuple(one)) != stream_name("bank.Account", tuple(other))


@given(keys)
def test_stream_names_are_printable_ascii_without_spaces(values):
    name = stream_name("bank.Account", tuple(values))
    assert name.isascii()
    assert name.isprintable()
    assert " " not in name
    assert name.count("/") == len(values)
