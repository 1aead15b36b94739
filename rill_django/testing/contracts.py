"""What every event store has to fulfil, as tests to inherit from.

::

    class TestMyStore(EventStoreContract):
        @pytest.fixture
        def store(self):
            return MyStore()
"""

from __future__ import annotations

from datetime import datetime, timedelta, timezone
from itertools import chain

import msgspec
import pytest

from rill_django.domain.records import NewEvent, StoredEvent
from rill_django.store.pages import bytes_of
from rill_django.store.protocol import (
    ANY,
    EMPTY_STREAM,
    NONE,
    Append,
    EventStore,
    Waiting,
    WrongExpectedVersion,
)
from rill_django.store.reader import Reader
from rill_django.store.selection import Selection

E = EMPTY_STREAM


def new_events(*names: str, type: str = "contract.Thing.happened") -> list[NewEvent]:
    """Return an event for each name, which is its only field."""
    return [NewEvent(type, b'{"name":"%b"}' % name.encode(), b'{"actor":"ann"}') for name in names]


def names_of(events: list[StoredEvent]) -> list[str]:
    """Return what `new_events` was given."""
    return [event.data.decode().replace(" ", "").removeprefix('{"name":"')[:-2] for event in events]


class EventStoreContract:
    """Inherit, and give it a fixture ``store`` that returns an empty store."""

    @pytest.fixture
    def store(self) -> EventStore:
        """Return an empty store."""
        raise NotImplementedError(
            "Override the fixture `store` with one that returns an empty store."
        )

    def test_a_stream_without_events_is_empty(self, store: EventStore) -> None:
        """No error, no events, version -1."""
        assert list(store.load("contract.Thing/1")) == []
        assert store.version("contract.Thing/1") == E

    def test_versions_count_from_zero(self, store: EventStore) -> None:
        """In one append and over several."""
        appended = store.append("contract.Thing/1", E, new_events("a", "b"))
        assert [event.version for event in appended] == [0, 1]
        assert [
            event.version for event in store.append("contract.Thing/1", 1, new_events("c"))
        ] == [2]
        assert store.version("contract.Thing/1") == 2

    def test_a_page_ends_with_the_event_that_fills_it(self, store: EventStore) -> None:
        """In bytes of payloads and metadata; short and long ones in any order, onwards and backwards."""
        long, short = "x" * 30_000, "y"
        names = [long, short, long, long, *[short] * 40, *[long] * 30, short]
        store.append("contract.Thing/1", E, new_events(*names))
        for selection in (Selection(), Selection(stream="contract.Thing/1")):
            for backwards in (False, True):
                wanted = names[::-1] if backwards else names
                asked = msgspec.structs.replace(selection, backwards=backwards, limit=70)
                for max_bytes in (1, 30_000, 60_100, 500_000):
                    page = store.fetch(msgspec.structs.replace(asked, max_bytes=max_bytes))
                    assert names_of(list(page)) == wanted[: len(page)]
                    assert bytes_of(page) >= max_bytes > bytes_of(page[:-1])
                whole = store.fetch(msgspec.structs.replace(asked, max_bytes=10_000_000))
                assert names_of(list(whole)) == wanted[:70]
                reader = Reader(store, selection)
                reader = reader.backwards() if backwards else reader
                assert names_of(list(reader.stored())) == wanted
                some = reader.max_bytes(90_000)
                read = list(some.stored())
                assert bytes_of(read) >= 90_000 > bytes_of(read[:-1])
                assert not some.is_end(read)
                assert reader.max_bytes(10_000_000).is_end(list(reader.stored()))

    def test_what_was_appended_can_be_loaded(self, store: EventStore) -> None:
        """Payload, metadata, type and time; the position is left out."""
        before = datetime.now(timezone.utc) - timedelta(minutes=5)
        appended = store.append("contract.Thing/1", E, new_events("a"))
        (loaded,) = store.load("contract.Thing/1")
        assert (loaded.stream, loaded.version) == ("contract.Thing/1", 0)
        assert (loaded.type, loaded.position) == ("contract.Thing.happened", None)
        assert names_of([loaded]) == ["a"]
        assert loaded.metadata.replace(b" ", b"") == b'{"actor":"ann"}'
        assert before < loaded.recorded_at < before + timedelta(minutes=10)
        assert loaded.recorded_at == appended[0].recorded_at

    def test_loading_can_begin_at_a_version(self, store: EventStore) -> None:
        """That version included."""
        store.append("contract.Thing/1", E, new_events("a", "b", "c"))
        assert names_of(list(store.load("contract.Thing/1", 1))) == ["b", "c"]
        assert list(store.load("contract.Thing/1", 3)) == []

    @pytest.mark.parametrize("expected_version", [-1, 0, 2, 7])
    def test_an_append_at_another_version_is_refused(
        self, store: EventStore, expected_version: int
    ) -> None:
        """Too low would overwrite, too high would leave a gap. Nothing is appended."""
        store.append("contract.Thing/1", E, new_events("a", "b"))
        with pytest.raises(WrongExpectedVersion) as refused:
            store.append("contract.Thing/1", expected_version, new_events("x", "y"))
        assert refused.value.expected_version == expected_version
        assert refused.value.actual_version == 1
        assert names_of(list(store.load("contract.Thing/1"))) == ["a", "b"]
        assert store.head() == 2

    def test_an_append_beyond_an_empty_stream_is_refused(self, store: EventStore) -> None:
        """The stream is at -1."""
        with pytest.raises(WrongExpectedVersion):
            store.append("contract.Thing/1", 0, new_events("x"))
        assert store.version("contract.Thing/1") == E

    def test_appending_nothing_does_nothing(self, store: EventStore) -> None:
        """Whatever version is expected."""
        assert list(store.append("contract.Thing/1", 5, [])) == []
        assert store.head() == 0

    def test_positions_are_consecutive_from_one(self, store: EventStore) -> None:
        """Over all streams, in the order in which they were appended."""
        store.append("contract.Thing/1", E, new_events("a", "b"))
        store.append("contract.Thing/2", E, new_events("c"))
        store.append("contract.Thing/1", 1, new_events("d"))
        events = list(store.read().stored())
        assert [event.position for event in events] == [1, 2, 3, 4]
        assert names_of(events) == ["a", "b", "c", "d"]
        assert store.head() == 4

    def test_which_events_are_at_positions(self, store: EventStore) -> None:
        """Those that there are, without their payloads."""
        store.append("contract.Thing/1", E, new_events("a", "b"))
        store.append("contract.Thing/2", E, new_events("c"))
        store.head()
        found = store.identities_at([1, 3, 4, 10**12])
        assert found == {1: "contract.Thing/1@0", 3: "contract.Thing/2@0"}
        assert store.identities_at([]) == {}

    def test_what_has_a_position_waits_for_none(self, store: EventStore) -> None:
        """Once the head was asked for, everything that is committed has one."""
        store.append("contract.Thing/1", E, new_events("a", "b"))
        store.head()
        assert store.waiting() == Waiting(0, 0.0)

    def test_reading_goes_on_behind_a_position(self, store: EventStore) -> None:
        """The way that projections and feeds read."""
        store.append("contract.Thing/1", E, new_events("a", "b", "c", "d"))
        assert names_of(list(store.read().after(2).stored())) == ["c", "d"]
        assert names_of(list(store.read().after(1).limit(2).stored())) == ["b", "c"]
        assert list(store.read().after(4).stored()) == []
        assert names_of(list(store.read().after(1).up_to(3).stored())) == ["b", "c"]
        assert names_of(list(store.read().backwards().after(4).up_to(2).stored())) == ["c", "b"]
        assert list(store.read().after(2).up_to(2).stored()) == []

    def test_reading_is_paged_and_complete(self, store: EventStore) -> None:
        """More events than a page has, in both directions."""
        names = [f"n{number}" for number in range(2_300)]
        store.append("contract.Thing/1", E, new_events(*names))
        for reader in (store.read(), store.read().stream("contract.Thing/1")):
            assert names_of(list(reader.stored())) == names
            assert names_of(list(reader.backwards().stored())) == names[::-1]
            assert names_of(list(reader.limit(1_500).stored())) == names[:1_500]

    def test_reading_can_be_narrowed(self, store: EventStore) -> None:
        """By stream, category, type and time, and all of it together."""
        store.append("contract.Thing/1", E, new_events("a", "b"))
        store.append("contract.Thing/1", 1, new_events("c", type="contract.Thing.ended"))
        store.append("contract.Thing/10", E, new_events("d"))
        store.append("contract.Thingy/1", E, new_events("e"))
        read = store.read()
        assert names_of(list(read.stream("contract.Thing/1").stored())) == ["a", "b", "c"]
        assert names_of(list(read.category("contract.Thing").stored())) == ["a", "b", "c", "d"]
        assert names_of(list(read.of_type("contract.Thing.ended").stored())) == ["c"]
        ended_or_not = read.of_type("contract.Thing.ended", "contract.Thing.happened")
        assert names_of(list(ended_or_not.category("contract.Thingy").stored())) == ["e"]
        now = datetime.now(timezone.utc)
        assert len(list(read.as_of(now + timedelta(hours=1)).stored())) == 5
        assert list(read.as_of(now - timedelta(hours=1)).stored()) == []

    def test_the_log_can_be_divided_into_shares(self, store: EventStore) -> None:
        """Every stream is in one of them, whole, and always in the same one."""
        streams = [f"contract.Thing/{number}" for number in range(60)]
        for stream in streams:
            store.append(stream, E, new_events("a", "b"))
        for of in (1, 2, 3, 7):
            shares = [_streams_of(store.read().share(number, of)) for number in range(of)]
            assert sorted(chain.from_iterable(shares)) == sorted(streams)
            assert all(share == sorted(share, key=streams.index) for share in shares)
            assert all(shares)
            store.append("contract.Thing/0", ANY, new_events("c"))
            assert [_streams_of(store.read().share(number, of)) for number in range(of)] == shares
        with pytest.raises(ValueError, match="a number from 0 to 2 of 3 shares, got 3"):
            store.read().share(3, 3)

    def test_a_stream_can_be_read_backwards_from_a_version(self, store: EventStore) -> None:
        """That version included."""
        store.append("contract.Thing/1", E, new_events("a", "b", "c", "d"))
        reader = store.read().stream("contract.Thing/1")
        assert names_of(list(reader.from_version(2).stored())) == ["c", "d"]
        assert names_of(list(reader.backwards().from_version(1).stored())) == ["b", "a"]
        assert names_of(list(store.read().backwards().after(3).stored())) == ["b", "a"]

    def test_a_reader_is_not_changed_by_narrowing_it(self, store: EventStore) -> None:
        """Every method returns another one."""
        store.append("contract.Thing/1", E, new_events("a", "b"))
        everything = store.read()
        everything.limit(1).backwards().after(1)
        assert names_of(list(everything.stored())) == ["a", "b"]

    def test_many_events_in_one_append(self, store: EventStore) -> None:
        """As many as a long import has in one stream."""
        names = [f"n{number}" for number in range(10_000)]
        store.append("contract.Thing/1", E, new_events(*names))
        assert names_of(list(store.load("contract.Thing/1"))) == names

    def test_payloads_come_back_as_they_were(self, store: EventStore) -> None:
        """Any JSON: quotes, percent signs, other scripts, large numbers, nested values."""
        data = '{"name":"O\'Hara \\"100%s\\" – Zürich \U0001f6eb","n":[1,{"big":12345678901234567890}]}'
        store.append("contract.Thing/1", E, [NewEvent("contract.Thing.happened", data.encode())])
        (loaded,) = store.load("contract.Thing/1")
        assert msgspec.json.decode(loaded.data) == msgspec.json.decode(data.encode())

    def test_callbacks_come_after_commit(self, store: EventStore) -> None:
        """Outside a transaction that is at once."""
        called = []
        store.append("contract.Thing/1", E, new_events("a"))
        store.after_commit(lambda: called.append(store.version("contract.Thing/1")))
        assert called == [0]

    def test_any_version_appends_at_the_end(self, store: EventStore) -> None:
        """Of a new stream and of an old one."""
        store.append("contract.Thing/1", ANY, new_events("a"))
        (second,) = store.append("contract.Thing/1", ANY, new_events("b"))
        assert second.version == 1
        assert names_of(list(store.load("contract.Thing/1"))) == ["a", "b"]

    def test_none_wants_a_new_stream(self, store: EventStore) -> None:
        """The same as `EMPTY_STREAM`."""
        store.append("contract.Thing/1", NONE, new_events("a"))
        with pytest.raises(WrongExpectedVersion) as refused:
            store.append("contract.Thing/1", NONE, new_events("b"))
        assert (refused.value.expected_version, refused.value.actual_version) == (E, 0)

    def test_many_streams_in_one_append(self, store: EventStore) -> None:
        """In the order that they are given."""
        store.append("contract.Thing/2", E, new_events("x"))
        stored = store.append_all(
            [
                Append("contract.Thing/1", NONE, new_events("a", "b")),
                Append("contract.Thing/2", 0, new_events("c")),
                Append("contract.Thing/3", ANY, new_events("d")),
                Append("contract.Thing/4", E, []),
            ]
        )
        assert [[event.version for event in events] for events in stored] == [[0, 1], [1], [0], []]
        events = list(store.read().stored())
        assert names_of(events) == ["x", "a", "b", "c", "d"]
        assert [event.position for event in events] == [1, 2, 3, 4, 5]
        loaded = store.load_all(["contract.Thing/1", "contract.Thing/2", "contract.Thing/9"])
        assert {stream: names_of(list(events)) for stream, events in loaded.items()} == {
            "contract.Thing/1": ["a", "b"],
            "contract.Thing/2": ["x", "c"],
        }
        assert [event.recorded_at for event in loaded["contract.Thing/1"]] == [
            event.recorded_at for event in stored[0]
        ]

    def test_one_stream_that_has_moved_stops_all(self, store: EventStore) -> None:
        """All or nothing."""
        store.append("contract.Thing/2", E, new_events("x"))
        with pytest.raises(WrongExpectedVersion) as refused:
            store.append_all(
                [
                    Append("contract.Thing/1", NONE, new_events("a")),
                    Append("contract.Thing/2", NONE, new_events("b")),
                ]
            )
        assert refused.value.stream == "contract.Thing/2"
        assert store.head() == 1
        assert store.version("contract.Thing/1") == E

    def test_a_stream_may_come_up_again_in_a_batch(self, store: EventStore) -> None:
        """The order of the batch is the order of positions."""
        stored = store.append_all(
            [
                Append("contract.Thing/1", NONE, new_events("a")),
                Append("contract.Thing/2", ANY, new_events("b")),
                Append("contract.Thing/1", 0, new_events("c", "d")),
                Append("contract.Thing/2", ANY, new_events("e")),
                Append("contract.Thing/1", 2, new_events("f")),
            ]
        )
        assert [[event.version for event in events] for events in stored] == [
            [0],
            [0],
            [1, 2],
            [1],
            [3],
        ]
        assert names_of(list(store.read().stored())) == ["a", "b", "c", "d", "e", "f"]
        assert names_of(list(store.load("contract.Thing/1"))) == ["a", "c", "d", "f"]

    def test_a_stream_that_contradicts_itself_is_refused(self, store: EventStore) -> None:
        """It comes up again, and expects another version than it has got to."""
        first = Append("contract.Thing/1", NONE, new_events("a"))
        for expected in (NONE, 1, 7):
            again = Append("contract.Thing/1", expected, new_events("b"))
            with pytest.raises(ValueError, match=r"leads to version 0, and then again"):
                store.append_all([first, again])
        assert store.head() == 0

    def test_events_of_another_log_keep_their_time(self, store: EventStore) -> None:
        """To the microsecond."""
        time = datetime(2013, 1, 1, 5, 17, 3, 123456, tzinfo=timezone.utc)
        moved = NewEvent("contract.Thing.happened", b'{"name":"a"}', b"{}", time)
        (stored,) = store.append("contract.Thing/1", NONE, [moved])
        assert stored.recorded_at == time
        (loaded,) = store.load("contract.Thing/1")
        assert loaded.recorded_at == time
        assert names_of(list(store.read().as_of(time).stored())) == ["a"]
        assert list(store.read().as_of(time - timedelta(microseconds=1)).stored()) == []


def _streams_of(reader: Reader) -> list[str]:
    """Return the streams of a reader's events, in the order of their first ones."""
    return list(dict.fromkeys(one.stream for one in reader.stored()))
