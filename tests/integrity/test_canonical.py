"""One text for one value, whatever a database makes of it."""

import json
from decimal import Decimal

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from rill_django.integrity.canonical import canonical_number, canonical_object, has_nul
from tests.once import once

pytestmark = once


@pytest.mark.parametrize(
    ("number", "canonical"),
    [
        ("1", "1"),
        ("-0", "0"),
        ("-7", "-7"),
        ("1.0", "1.0"),
        ("-0.0", "0.0"),
        ("-0.00", "0.0"),
        ("1.10", "1.1"),
        ("100.00", "100.0"),
        ("1e5", "100000"),
        ("1E+5", "100000"),
        ("1.0e5", "100000"),
        ("1.5e-3", "0.0015"),
        ("-1e-7", "-0.0000001"),
        ("0e999", "0"),
        ("0.0e5", "0"),
        ("0e-5", "0.0"),
        ("-0.00e1", "0.0"),
        ("0.1234567890123456789012345678901234567890", "0.123456789012345678901234567890123456789"),
        ("123456789012345678901234567890", "123456789012345678901234567890"),
        ("18446744073709551616.5", "18446744073709551616.5"),
        ("5e-324", "0." + "0" * 323 + "5"),
        ("1.7976931348623157e308", "17976931348623157" + "0" * 292),
        ("1" * 300 + ".5", "1" * 300 + ".5"),
    ],
)
def test_numbers(number, canonical):
    assert canonical_object(b'{"n": %b}' % number.encode()) == b'{"n":%b}' % canonical.encode()
    assert canonical_object(b'{"n":%b}' % canonical.encode()) == b'{"n":%b}' % canonical.encode()


@pytest.mark.parametrize(
    "number", ["1e5000", "1e-5000", "1e999999999", "1e99999999999999999999", "-1.5E-99999999999"]
)
def test_a_number_that_would_fill_the_memory_is_refused(number):
    with pytest.raises(ValueError, match="too large or too small"):
        canonical_object(b'{"n": %b}' % number.encode())


def test_what_is_no_number_with_a_point_is_not_touched():
    assert canonical_number("12") == "12"


def test_keys_are_sorted_by_code_points_at_every_depth():
    text = '{"\\ud83d\\ude00": 1, "\uffff": 2, "b": [{"z": 1, "aa": 2}], "": 3, "B": 4}'
    expected = '{"":3,"B":4,"b":[{"aa":2,"z":1}],"\uffff":2,"\U0001f600":1}'
    assert canonical_object(text) == expected.encode()


def test_of_a_key_that_is_there_twice_the_last_one_counts_as_in_jsonb():
    assert canonical_object('{"a": 1, "b": 2, "a": {"c": 3, "c": 4}}') == b'{"a":{"c":4},"b":2}'


def test_only_the_escapes_that_must_be():
    text = r'{"t": "\u00e9\/\"\\\n\t\b\u0001\u2028\u007f<"}'
    assert canonical_object(text) == '{"t":"é/\\"\\\\\\n\\t\\b\\u0001\u2028\x7f<"}'.encode()


@pytest.mark.parametrize(
    ("text", "why"),
    [
        ("[1]", "must be a JSON object, not an array"),
        ("null", "not null"),
        ("true", "not a boolean"),
        ('"x"', "not a text"),
        ("1.5", "not a number"),
        ("", "truncated"),
        ("{'a': 1}", "malformed"),
        ('{"a": NaN}', "malformed"),
        ('{"a": 01}', "malformed"),
        (r'{"a": "\ud800"}', "truncated|surrogate|malformed"),
        ('{"a":' * 100_000, "too deeply"),
    ],
)
def test_what_is_no_object_is_refused(text, why):
    with pytest.raises(ValueError, match=why):
        canonical_object(text)


@pytest.mark.parametrize(
    ("text", "found"),
    [
        (r'{"a":"x\u0000"}', True),
        (r'{"\u0000":1}', True),
        (r'{"a":"\\\u0000"}', True),
        (r'{"a":"\\u0000"}', False),
        (r'{"a":"\\\\u0000"}', False),
        ('{"a":"u0000"}', False),
    ],
)
def test_nul_is_told_from_its_likes(text, found):
    assert has_nul(canonical_object(text)) is found


# What the databases do to a text, as their manuals and experiments say.


class Number(str):
    """The digits of a number that has a point or an exponent."""


def written(value, number, order, gap):
    """Write JSON the way some database does."""
    if isinstance(value, dict):
        inside = (
            f"{json.dumps(key)}:{gap}{written(one, number, order, gap)}"
            for key, one in sorted(value.items(), key=lambda item: order(item[0]))
        )
        return "{" + f",{gap}".join(inside) + "}"
    if isinstance(value, list):
        return "[" + f",{gap}".join(written(one, number, order, gap) for one in value) + "]"
    if isinstance(value, Number):
        return number(value)
    return json.dumps(value, ensure_ascii=False)


def by_length(key):
    return len(key.encode()), key.encode()


def numeric(text):
    """PostgreSQL's numeric: no exponents, no negative zero, zeros at the end are kept."""
    number = f"{Decimal(text):f}"
    return number.removeprefix("-") if not Decimal(text) else number


def as_jsonb(value):
    return written(value, numeric, by_length, " ")


def as_mysql(value):
    """MySQL's own JSON: binary floats, printed as short as they can be."""

    def double(text):
        return repr(float(text)) if "." in text or "e" in text.lower() else text

    return written(value, double, by_length, " ")


def as_text(value):
    """SQLite and MariaDB: as it was given."""
    return written(value, str, lambda key: 0, "")


texts = st.text(st.characters(exclude_categories=["Cs"], exclude_characters="\0"))
floats = st.floats(allow_nan=False, allow_infinity=False)
decimals = st.builds(
    lambda digits, exponent, e: Number(f"{digits}.{abs(digits) % 1000}{e}{exponent}"),
    st.integers(),
    st.integers(-300, 300),
    st.sampled_from(["e", "E"]),
)


def values(numbers):
    scalars = st.none() | st.booleans() | st.integers() | numbers | texts
    return st.recursive(
        scalars, lambda inner: st.lists(inner) | st.dictionaries(texts, inner), max_leaves=20
    )


def objects(numbers):
    return st.dictionaries(texts, values(numbers))


@given(objects(floats.map(lambda number: Number(repr(number))) | decimals))
@example(
    {"z": [Number(one) for one in ("0.0e5", "0e-5", "0e99", "-0.00e1", "1.50e-3", "12.340e1")]}
)
@example({"n": Number("1E+2"), "m": Number("-0e0"), "aa": 1, "b": {"é": [], "": {}}})
def test_text_and_jsonb_have_the_same_canonical_form(value):
    canonical = canonical_object(as_text(value))
    assert canonical_object(as_jsonb(value)) == canonical
    assert canonical_object(canonical) == canonical


@given(objects(floats.map(lambda number: Number(repr(number)))))
def test_so_has_mysql_for_numbers_that_it_can_hold(value):
    canonical = canonical_object(as_text(value))
    stored_again = json.loads(canonical, parse_float=Number)
    # repr(1e16) is 1e+16, which is an integer when it is written out.
    assert canonical_object(as_mysql(stored_again)) == canonical


@given(objects(floats))
def test_no_value_changes(value):
    text = json.dumps(value)
    assert json.loads(canonical_object(text), parse_float=Decimal) == json.loads(
        text, parse_float=Decimal
    )


@given(objects(floats))
def test_the_order_of_keys_does_not_matter(value):
    turned = dict(reversed(value.items()))
    assert canonical_object(json.dumps(turned)) == canonical_object(json.dumps(value))
