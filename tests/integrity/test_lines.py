"""One event, one line."""

import json
from datetime import timedelta, timezone

import msgspec
import pytest

from rill_django.domain.records import NewEvent, StoredEvent
from rill_django.integrity.lines import MalformedLine, UnexportableEvent, from_line, to_line
from tests.integrity.logs import NOON

STORED = StoredEvent(
    "bank.Account/1",
    3,
    77,
    "bank.Account.opened",
    b'{"owner": "Zo\xc3\xab", "number": "1", "limit": 1.50}',
    b'{"reason": "a \\"test\\"", "actor": "ann"}',
    NOON,
)

LINE = (
    '{"specversion":"1.0","id":"bank.Account/1@3","source":"/rill_django",'
    '"type":"bank.Account.opened","subject":"bank.Account/1","time":"2024-05-31T12:00:00.123456Z",'
    '"datacontenttype":"application/json","streamversion":3,'
    '"metadata":"{\\"actor\\":\\"ann\\",\\"reason\\":\\"a \\\\\\"test\\\\\\"\\"}",'
    '"data":{"limit":1.5,"number":"1","owner":"Zoë"}}\n'
).encode()


def line(**changes):
    """The line with some names changed; None takes one away."""
    changed = {**json.loads(LINE), **changes}
    return json.dumps({name: one for name, one in changed.items() if one is not None}).encode()


def test_an_event_as_a_line():
    assert to_line(STORED) == LINE


def test_a_line_is_a_cloud_event():
    """All attributes are scalars, and their names have lower-case letters and digits only."""
    attributes = json.loads(to_line(STORED, source="https://bank.example/log"))
    assert attributes.pop("data") == {"limit": 1.5, "number": "1", "owner": "Zoë"}
    assert all(name.isalnum() and name.islower() for name in attributes)
    assert all(isinstance(one, (str, int)) for one in attributes.values())
    assert attributes["source"] == "https://bank.example/log"
    assert json.loads(attributes["metadata"]) == {"actor": "ann", "reason": 'a "test"'}


def test_a_time_of_any_zone_is_written_in_utc():
    there = NOON.astimezone(timezone(timedelta(hours=2)))
    assert to_line(msgspec.structs.replace(STORED, recorded_at=there)) == LINE
    whole = msgspec.structs.replace(STORED, recorded_at=NOON.replace(microsecond=0))
    assert b'"2024-05-31T12:00:00.000000Z"' in to_line(whole)


def test_a_line_as_an_event():
    incoming = from_line(LINE, 9)
    assert (incoming.number, incoming.stream, incoming.version) == (9, "bank.Account/1", 3)
    assert incoming.identity == "bank.Account/1@3"
    assert incoming.event == NewEvent(
        "bank.Account.opened",
        '{"limit":1.5,"number":"1","owner":"Zoë"}'.encode(),
        b'{"actor":"ann","reason":"a \\"test\\""}',
        NOON,
    )


def test_the_order_of_names_blanks_and_defaults_do_not_matter():
    shuffled = dict(sorted(json.loads(LINE).items()))
    assert from_line(json.dumps(shuffled, indent=1).encode(), 9) == from_line(LINE, 9)
    bare = from_line(line(metadata=None, datacontenttype=None), 1)
    assert bare.event.metadata == b"{}"


@pytest.mark.parametrize(
    ("text", "time"),
    [
        ("2024-05-31T14:00:00.123456+02:00", NOON),
        ("2024-05-31T12:00:00.123456000Z", NOON),
        ("2024-05-31t12:00:00z", NOON.replace(microsecond=0)),
        ("2024-05-31T12:00:00.5Z", NOON.replace(microsecond=500_000)),
    ],
)
def test_times_are_read_as_rfc_3339_has_them(text, time):
    read = from_line(line(time=text), 1).event.recorded_at
    assert read == time
    assert read.utcoffset() == timedelta(0)


@pytest.mark.parametrize(
    ("broken", "why"),
    [
        (b"{", "is not JSON: Input data was truncated"),
        (b"hello", "is not JSON"),
        (LINE[:-2], "is not JSON"),
        (LINE.rstrip() + LINE, "is not JSON"),
        (b'{"specversion":"1.0","id":"\xff"}', "is not JSON"),
        (b'{"data":' * 100_000, "is not JSON|missing"),
        (b"[]", "Expected `object`, got `array`"),
        (line(id=None), "id is missing"),
        (line(streamversion=None), "streamversion is missing"),
        (line(data=None), "data is missing"),
        (line(specversion="0.3"), "specversion: Invalid enum value '0.3'"),
        (line(streamversion="3"), "streamversion: Expected `int`, got `str`"),
        (line(streamversion=-1), "streamversion: Expected `int` >= 0"),
        (line(streamversion=3.5), "streamversion: Expected `int`, got `float`"),
        (line(streamversion=2**31), "streamversion: Expected `int` <= 2147483647"),
        (line(subject=7), "subject: Expected `str`, got `int`"),
        (line(dataschema="x"), "has 'dataschema', which would be lost"),
        (
            line(id="bank.Account/1@4"),
            r"id is 'bank\.Account/1@4', but .* make 'bank\.Account/1@3'",
        ),
        (line(subject="bank.Account/a b"), "blanks"),
        (line(subject="bank.Account/é"), "not printable ASCII"),
        (line(subject="bank.Account/%c3%a9"), r"canonical: that would be bank\.Account/%C3%A9"),
        (line(subject="bank.Account/%31"), "canonical"),
        (line(subject="bank.Account/%FF"), "canonical"),
        (line(subject="bank.Account"), "is not a category and keys"),
        (line(subject="bank.Account/"), "is not a category and keys"),
        (line(subject="/1"), "is not a category and keys"),
        (line(subject="bank.Account/" + "1" * 243), "256 characters; 255 are the most"),
        (line(source=""), "source is empty"),
        (line(type=""), "type '' is not"),
        (line(type="é"), "type 'é' is not"),
        (line(type="a" * 256), "is not 1 to 255"),
        (line(datacontenttype="text/xml"), "datacontenttype is 'text/xml'"),
        (line(data=[1]), "data must be a JSON object, not an array"),
        (line(data={"a": "x\0"}), "data has a NUL character"),
        (LINE.replace(b"1.5", b"1e9999"), "data has a number that is too large"),
        (line(metadata="[]"), "metadata must be a JSON object, not an array"),
        (line(metadata="{"), "metadata Input data was truncated"),
        (line(metadata={"actor": "ann"}), "metadata: Expected `str`, got `object`"),
        (line(metadata='{"a":"\\u0000"}'), "metadata has a NUL character"),
        (line(time="yesterday"), "is not a time with a zone"),
        (line(time=""), "is not a time with a zone"),
        (line(time="2024-05-31"), "is not a time with a zone"),
        (line(time="2024-05-31T12:00:00"), "is not a time with a zone"),
        (line(time="2024-05-31T12:00:60Z"), "is not a time with a zone"),
        (line(time="0001-01-01T00:00:00+14:00"), "is not a time with a zone"),
        (line(time="2024-05-31T12:00:00.1234567Z"), "finer than microseconds"),
        (line(time="0999-12-31T23:59:59Z"), "before the year 1000"),
    ],
)
def test_a_malformed_line_says_what_is_wrong(broken, why):
    with pytest.raises(MalformedLine, match=why):
        from_line(broken, 1)


@pytest.mark.parametrize("part", ["data", "metadata"])
def test_an_event_without_a_canonical_form_is_named(part):
    broken = msgspec.structs.replace(STORED, **{part: b"[]"})
    with pytest.raises(UnexportableEvent, match=r"bank\.Account/1@3 cannot be exported: .*object"):
        to_line(broken)


def test_what_is_written_is_read_and_written_the_same():
    read = from_line(to_line(STORED), 1)
    stored = StoredEvent(
        read.stream,
        read.version,
        1,
        read.event.type,
        read.event.data,
        read.event.metadata,
        read.event.recorded_at,
    )
    assert to_line(stored) == LINE
