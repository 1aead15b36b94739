from datetime import datetime, timezone

import pytest

from rill_django import DefinitionError, RawEvent, UnreadableEvent, upcast
from rill_django.domain.codec import decode_events
from rill_django.domain.records import NewEvent, StoredEvent
from rill_django.repository import Repository
from rill_django.store.memory import MemoryEventStore
from tests.domain.shop import Account

NOW = datetime(2024, 2, 29, tzinfo=timezone.utc)


def read(registry, type="tests.Account.created", data=b'{"number":"1","holder":"Ann"}'):
    event = StoredEvent("tests.Account/1", 4, 5, type, data, b'{"actor":"bob"}', NOW)
    return list(decode_events([event], registry))


class TestARawEvent:
    event = RawEvent("a.B.c", {"x": 1, "y": 2}, {"actor": "ann"}, "a.B/1", 3)

    def test_is_changed_by_making_another(self):
        assert self.event.renamed("a.B.d").type == "a.B.d"
        assert self.event.with_data(y=3, z=4).data == {"x": 1, "y": 3, "z": 4}
        assert self.event.without("x", "nothing").data == {"y": 2}
        assert self.event == RawEvent("a.B.c", {"x": 1, "y": 2}, {"actor": "ann"}, "a.B/1", 3)


class TestAnUpcaster:
    def test_may_rename_an_event_and_its_fields(self, registry):
        @upcast("tests.Account.created")
        def opened(event):
            return (
                event.renamed("tests.Account.opened")
                .with_data(owner=event.data["holder"])
                .without("holder")
            )

        [event] = read(registry)
        assert event.message == Account.opened.message("1", "Ann")
        assert event.type == "tests.Account.opened"
        assert (event.identity, event.position) == ("tests.Account/1@4", 5)
        assert event.metadata == {"actor": "bob"}

    def test_may_make_several_of_one(self, registry):
        @upcast("tests.Account.created")
        def two(event):
            yield event.renamed("tests.Account.opened").with_data(owner="Ann")
            yield event.renamed("tests.Account.reminded").with_data(by="us")

        events = read(registry)
        assert [one.type for one in events] == ["tests.Account.opened", "tests.Account.reminded"]
        assert {one.identity for one in events} == {"tests.Account/1@4"}

    def test_may_drop_an_event(self, registry):
        upcast("tests.Account.created")(lambda event: None)
        assert read(registry) == []
        upcast("tests.Account.other")(lambda event: [])
        assert read(registry, "tests.Account.other") == []

    def test_sees_only_the_types_it_is_for(self, registry):
        upcast("tests.Account.other", "tests.Account.another")(lambda event: None)
        assert len(read(registry)) == 1
        assert read(registry, "tests.Account.another") == []

    def test_for_no_type_sees_every_event(self, registry):
        seen = []

        @upcast()
        def see(event):
            seen.append((event.type, event.stream, event.version, event.metadata))
            return event

        read(registry)
        assert seen == [("tests.Account.created", "tests.Account/1", 4, {"actor": "bob"})]

    def test_gets_what_those_before_it_made(self, registry):
        @upcast("tests.Account.created")
        def first(event):
            return [
                event.renamed("tests.Account.begun").with_data(steps=["first"]),
                event.renamed("tests.Account.noise"),
            ]

        @upcast("tests.Account.begun")
        def second(event):
            return event.with_data(steps=[*event.data["steps"], "second"])

        @upcast("tests.Account.noise")
        def quiet(event):
            return None

        @upcast("tests.Account.created")
        def too_late(event):
            raise AssertionError

        [event] = read(registry)
        assert event.type == "tests.Account.begun"
        assert event.data["steps"] == ["first", "second"]

    def test_may_change_what_is_known_of_the_circumstances(self, registry):
        from msgspec.structs import replace

        upcast()(lambda event: replace(event, metadata={**event.metadata, "actor": "ann"}))
        assert read(registry)[0].metadata == {"actor": "ann"}

    @pytest.mark.parametrize(
        ("upcaster", "reason"),
        [
            (lambda event: event.with_data(owner=event.data["nothing"]), "KeyError: 'nothing'"),
            (lambda event: event.renamed("tests.Account.opened"), "missing required field"),
            (lambda event: "text", "AttributeError"),
            (lambda event: 3, "TypeError"),
            (lambda event: [{"type": "x"}], "AttributeError"),
        ],
    )
    def test_that_fails_makes_the_event_unreadable(self, registry, upcaster, reason):
        upcast("tests.Account.created")(upcaster)
        with pytest.raises(UnreadableEvent, match=reason) as caught:
            read(registry)
        assert caught.value.identity == "tests.Account/1@4"
        assert caught.value.type == "tests.Account.created"

    def test_takes_the_names_of_types(self):
        with pytest.raises(DefinitionError, match=r"@upcast\(\) for every event"):

            @upcast
            def without_parentheses(event):
                return event

        with pytest.raises(DefinitionError, match="takes the stored type names as texts"):
            upcast(Account.opened)


def test_dropped_events_count_in_the_version(registry):
    upcast("tests.Account.created")(lambda event: None)
    store = MemoryEventStore()
    created = NewEvent("tests.Account.created", b"{}")
    opened = NewEvent("tests.Account.opened", b'{"number":"1","owner":"Ann"}')
    store.append("tests.Account/1", -1, [created, opened, created])
    account = Repository(store).get(Account, "1")
    assert (account.owner, account.version) == ("Ann", 2)
    assert Repository(store).commit(account.opened("Bob")).unwrap().version == 3

    store.append("tests.Account/2", -1, [created])
    assert Repository(store).get(Account, "2").version == 0
    assert not Repository(store).get(Account, "2").is_new
