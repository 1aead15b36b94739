"""Repositories on the store in memory; what a database adds is tested with the store."""

from datetime import datetime, timezone
from decimal import Decimal

import pytest

from rill_django import (
    Aggregate,
    Conflict,
    InvalidMessage,
    Ok,
    UnreadableEvent,
    event,
    key,
    metadata,
)
from rill_django.domain.records import NewEvent
from rill_django.repository import CachingRepository, Repository
from rill_django.store.memory import MemoryEventStore
from tests.bank.domain import Account

NOW = datetime(2024, 2, 29, tzinfo=timezone.utc)


class Letter(Aggregate, name="caching.Letter"):
    """Its state grows with every event."""

    number: str = key()
    text: str = ""

    @event
    def written(self, text: str) -> "Letter":
        return self.evolve(text=self.text + text)


class Line(Aggregate, name="caching.Line"):
    """Its state stays short."""

    number: str = key()
    length: int = 0

    @event
    def written(self, text: str) -> "Line":
        return self.evolve(length=self.length + len(text))


class CountingStore(MemoryEventStore):
    """Notes how many events were handed out."""

    def __init__(self) -> None:
        super().__init__(lambda: NOW)
        self.loaded: list[int] = []

    def load(self, stream, from_version=0):
        events = super().load(stream, from_version)
        self.loaded.append(len(events))
        return events


class LateStore(MemoryEventStore):
    """Holds callbacks back, as a transaction does until it is committed."""

    def __init__(self) -> None:
        super().__init__(lambda: NOW)
        self.callbacks = []

    def after_commit(self, callback):
        self.callbacks.append(callback)


@pytest.fixture
def store():
    return CountingStore()


@pytest.fixture(params=[Repository, CachingRepository])
def repository(request, store):
    return request.param(store)


class TestFetching:
    def test_a_stream_without_events_gives_the_empty_aggregate(self, repository):
        assert repository.get(Account, "1") == Account("1")
        assert repository.get(Account, number="1").is_new

    def test_applies_the_events_of_the_stream(self, repository):
        repository.commit(Account("1").opened("Ann").deposited(Decimal(5)))
        repository.commit(Account("2").opened("Bob"))
        account = repository.get(Account, "1")
        assert (account.owner, account.balance, account.version) == ("Ann", 5, 1)
        assert not account.uncommitted
        assert account.exists
        assert not account.is_new

    def test_a_wrong_key_is_refused(self, repository):
        with pytest.raises(InvalidMessage):
            repository.get(Account, 1)

    def test_brings_an_aggregate_up_to_date(self, repository, store):
        old = repository.commit(Account("1").opened("Ann")).unwrap()
        Repository(store).commit(old.deposited(Decimal(5)))
        assert old.balance == 0
        assert repository.update(old).balance == 5
        assert repository.update(repository.update(old)).version == 1

    def test_does_not_put_newer_events_before_uncommitted_ones(self, repository):
        with pytest.raises(ValueError, match="has uncommitted events"):
            repository.update(Account("1").opened("Ann"))

    def test_an_event_that_cannot_be_read_is_named(self, repository, store):
        store.append("bank.Account/1", -1, [NewEvent(Account.opened.name, b"{}")])
        with pytest.raises(UnreadableEvent, match="1@0 is stored as"):
            Repository(store).get(Account, "1")

    def test_keeps_aggregate_types_with_equal_keys_apart(self, repository):
        assert Account("1").stream.endswith(".Account/1")
        repository.commit(Account("1").opened("Ann"))
        assert repository.get(Account, "11").is_new


class TestCommitting:
    def test_numbers_the_events(self, repository):
        match repository.commit(Account("1").opened("Ann").deposited(Decimal(5))):
            case Ok(aggregate=account, events=(opened, deposited)):
                assert account == repository.get(Account, "1")
                assert account.version == 1
                assert not account.uncommitted
                assert (opened.version, deposited.version) == (0, 1)
                assert opened.message == Account.opened.message("1", "Ann")
                assert deposited.amount == 5
            case other:
                pytest.fail(repr(other))

    def test_without_new_events_is_ok(self, repository, store):
        assert repository.commit(Account("1")) == Ok(Account("1"), ())
        assert store.head() == 0

    def test_of_a_rejection_passes_it_through(self, repository, store):
        rejected = Account("1").reject("no")
        assert repository.commit(rejected) is rejected
        assert store.head() == 0

    def test_behind_somebody_else_is_a_conflict_and_stores_nothing(self, repository, store):
        mine, theirs = Account("1").opened("Ann"), Account("1").opened("Bob").closed()
        repository.commit(theirs)
        assert repository.commit(mine) == Conflict(mine.stream, -1, 1)
        assert store.version(mine.stream) == 1
        assert repository.get(Account, "1").owner == "Bob"

    def test_of_what_cannot_be_stored_stores_nothing(self, repository, store):
        with pytest.raises(InvalidMessage, match="NUL"):
            repository.commit(Account("1").opened("Ann").opened("\0"))
        assert store.head() == 0

    def test_notes_who_and_why(self, repository):
        with metadata(actor=lambda: "ann", reason="test"):
            result = repository.commit(Account("1").opened("Ann"), metadata={"reason": "other"})
        assert result.events[0].metadata == {"actor": "ann", "reason": "other"}

    def test_tells_the_listeners_after_commit(self):
        told = []
        store = LateStore()
        repository = Repository(store, [told.append, told.append])
        result = repository.commit(Account("1").opened("Ann"))
        assert told == []
        for callback in store.callbacks:
            callback()
        assert told == [result.events, result.events]
        repository.commit(Account("1"))
        repository.commit(Account("1").reject("no"))
        assert len(told) == 2


class TestACachingRepository:
    @pytest.fixture
    def repository(self, store):
        return CachingRepository(store, size=2)

    def fill(self, store, *numbers):
        for number in numbers:
            Repository(store).commit(Account(number).opened("Ann").deposited(Decimal(5)))
        store.loaded.clear()

    def test_reads_an_aggregate_once_and_then_the_last_event_only(self, repository, store):
        self.fill(store, "1")
        for _ in range(3):
            assert repository.get(Account, "1").balance == 5
        assert store.loaded == [2, 1, 1]

    def test_hands_out_the_same_value(self, repository, store):
        self.fill(store, "1")
        assert repository.get(Account, "1") is repository.get(Account, "1")

    def test_is_never_stale(self, repository, store):
        self.fill(store, "1")
        account = repository.get(Account, "1")
        Repository(store).commit(account.deposited(Decimal(1)))
        assert repository.get(Account, "1").balance == 6
        assert store.loaded == [2, 2]

    def test_knows_what_it_committed_itself(self, repository, store):
        committed = repository.commit(Account("1").opened("Ann")).unwrap()
        assert repository.get(Account, "1") is committed

    def test_does_not_go_back_behind_what_the_caller_has(self, repository, store):
        self.fill(store, "1")
        repository.get(Account, "1")
        newer = (
            Repository(store)
            .commit(Repository(store).get(Account, "1").deposited(Decimal(1)))
            .unwrap()
        )
        assert repository.update(newer) == newer

    def test_forgets_the_least_recently_used(self, repository, store):
        self.fill(store, "1", "2", "3")
        for number in ("1", "2", "1", "3", "1", "2"):
            repository.get(Account, number)
        assert len(repository) == 2
        assert store.loaded == [2, 2, 1, 2, 1, 2]

    def test_keeps_only_so_many_bytes_of_state(self, store):
        repository = CachingRepository(store, max_bytes=100_000)
        for number in range(8):
            repository.commit(Letter(str(number)).written("x" * 30_000))
            assert len(repository) <= 3
        # The state of these is short, however much has been written.
        for number in range(30):
            repository.commit(Line(str(number)).written("x" * 30_000))
        assert len(repository) >= 30

    def test_measures_a_state_again_as_it_grows(self, store):
        repository = CachingRepository(store, max_bytes=100_000)
        for _ in range(20):
            repository.commit(repository.get(Letter, "1").written("x" * 1_500)).unwrap()
            repository.commit(repository.get(Letter, "2").written("x" * 1_500)).unwrap()
        assert len(repository) == 2
        for _ in range(100):
            repository.commit(repository.get(Letter, "1").written("x" * 1_500)).unwrap()
        assert len(repository.get(Letter, "1").text) == 180_000
        assert len(repository) == 1  # Too long by now to be kept; the other one still is.

    def test_of_no_size_keeps_nothing(self, store):
        repository = CachingRepository(store, size=0)
        repository.commit(Account("1").opened("Ann"))
        assert repository.get(Account, "1").owner == "Ann"
        assert len(repository) == 0

    def test_notices_that_the_log_was_replaced(self, store):
        repository = CachingRepository(store)
        repository.commit(Account("1").opened("Ann").deposited(Decimal(5)))
        empty = MemoryEventStore()
        repository.store = empty
        assert repository.get(Account, "1").is_new
        repository.store = store
        assert repository.get(Account, "1").balance == 5
        other = MemoryEventStore()
        Repository(other).commit(Account("1").opened("Bob").closed())
        repository.store = other
        assert repository.get(Account, "1").owner == "Bob"

    def test_keeps_nothing_of_a_transaction_that_is_not_committed(self):
        repository = CachingRepository(LateStore())
        repository.commit(Account("1").opened("Ann"))
        assert len(repository) == 0
        for callback in repository.store.callbacks:
            callback()
        assert len(repository) == 1

    def test_forgets_on_request(self, repository, store):
        self.fill(store, "1")
        repository.get(Account, "1")
        repository.forget(Account("1"))
        repository.forget(Account("2"))
        repository.get(Account, "1")
        assert store.loaded == [2, 2]

    def test_does_not_keep_an_aggregate_without_events(self, repository):
        repository.get(Account, "nobody")
        assert len(repository) == 0
