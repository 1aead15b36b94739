# ruff: noqa: DTZ001 - what has no zone is the point here
"""When an event happened is a moment, wherever it is given."""

import json
from datetime import datetime, timedelta, timezone

import msgspec
import pytest

from rill_django import InvalidMessage, metadata
from rill_django.domain.codec import decode_events, encode_metadata
from rill_django.domain.records import NewEvent, StoredEvent
from rill_django.domain.registry import current_registry
from rill_django.integrity.inspection import Inspection, Objection
from rill_django.integrity.lines import from_line, to_line
from rill_django.repository import Repository
from rill_django.store.memory import MemoryEventStore
from rill_django.store.orm import DjangoEventStore
from tests.domain.shop import Account

NAIVE = datetime(2013, 1, 1, 5, 17)
MOMENT = NAIVE.replace(tzinfo=timezone(timedelta(hours=-5)))
WRONG = [NAIVE, NAIVE.isoformat(), "yesterday", NAIVE.date(), 17, True, [MOMENT]]


@pytest.fixture(params=[MemoryEventStore, DjangoEventStore])
def store(request, db):
    return request.param()


@pytest.mark.parametrize("wrong", WRONG)
class TestATimeWithoutAZoneIsRefused:
    def test_in_commit_all(self, store, wrong):
        with pytest.raises(InvalidMessage, match=r"metadata, field 'occurred_at': .* (zone|time)"):
            Repository(store).commit_all(
                [Account("1").opened("Ann"), Account("2").opened("Bob")],
                occurred_at=lambda _: wrong,
            )
        assert store.version("tests.Account/1") == -1

    def test_in_metadata(self, store, wrong):
        repository = Repository(store)
        with pytest.raises(InvalidMessage, match="'occurred_at'"):
            repository.commit(Account("1").opened("Ann"), metadata={"occurred_at": wrong})
        with (
            metadata(occurred_at=wrong),
            pytest.raises(InvalidMessage, match="'occurred_at'"),
        ):
            repository.commit(Account("1").opened("Ann"))
        assert store.version("tests.Account/1") == -1

    def test_in_an_event_that_is_appended(self, store, wrong):
        data = b'{"number":"1","owner":"Ann"}'
        encoded = msgspec.json.encode({"occurred_at": wrong})
        events = [
            NewEvent("tests.Account.opened", data),
            NewEvent("tests.Account.opened", data, encoded),
        ]
        if wrong != [MOMENT]:
            with pytest.raises(InvalidMessage, match="'occurred_at'"):
                store.append("tests.Account/1", -1, events)
            assert store.version("tests.Account/1") == -1

    def test_in_a_line_that_is_imported(self, wrong):
        line = json.loads(to_line(stored(b"{}")))
        line["metadata"] = msgspec.json.encode({"occurred_at": wrong}).decode()
        text = json.dumps(line).encode()
        inspection = Inspection(current_registry())
        inspection.look_at(text, from_line(text, 1))
        refused = inspection.objections(None)[Objection.REFUSED]
        assert any("occurred_at" in what for _line, what in refused.examples)


def test_when_an_event_was_recorded_elsewhere_is_a_moment_too(store):
    event = NewEvent("tests.Account.opened", b"{}", recorded_at=NAIVE)
    with pytest.raises(InvalidMessage, match=r"'recorded_at'.*no time zone"):
        store.append("tests.Account/1", -1, [event])
    assert store.version("tests.Account/1") == -1


@pytest.mark.parametrize("given", [MOMENT, MOMENT.isoformat(), MOMENT.astimezone(timezone.utc)])
def test_a_moment_is_kept(store, given):
    repository = Repository(store)
    (result,) = repository.commit_all([Account("1").opened("Ann")], occurred_at=lambda _: given)
    assert result.events[0].occurred_at == MOMENT
    (read,) = decode_events(store.load("tests.Account/1"), current_registry())
    assert read.occurred_at == MOMENT
    assert from_line(to_line(read.stored), 1).event.metadata


def test_without_one_it_is_the_time_of_recording():
    assert encode_metadata({"occurred_at": None}) == b"{}"


def test_an_old_event_without_a_zone_is_read_as_utc():
    (event,) = decode_events([stored(b'{"occurred_at":"2013-01-01T05:17:00"}')], current_registry())
    assert event.occurred_at == NAIVE.replace(tzinfo=timezone.utc)


def stored(encoded: bytes) -> StoredEvent:
    data = b'{"number":"1","owner":"Ann"}'
    return StoredEvent("tests.Account/1", 0, 1, "tests.Account.opened", data, encoded, MOMENT)
