"""Commits of many aggregates at once, and the limits of a commit."""

from datetime import datetime, timezone

import pytest

from rill_django import Aggregate, ConflictError, Ok, Rejected, command, event, key, metadata
from rill_django.dispatch import Dispatcher
from rill_django.domain.runtime import current, set_default, use
from rill_django.repository import CachingRepository, Limits, Repository, TooLarge
from rill_django.store.memory import MemoryEventStore
from rill_django.store.orm import DjangoEventStore
from tests.bank.domain import Account

pytestmark = pytest.mark.django_db


@pytest.fixture(params=[MemoryEventStore, DjangoEventStore])
def store(request):
    return request.param()


@pytest.fixture(params=[Repository, CachingRepository])
def repository(request, store):
    return request.param(store)


def test_all_are_stored_in_order_and_rejections_passed_through(repository):
    results = repository.commit_all(
        [
            Account("1").opened("Ann").deposited(5),
            Account("2").withdraw(5),
            Account("3").opened("Bob"),
            Account("4"),
        ]
    )
    assert [type(result) for result in results] == [Ok, Rejected, Ok, Ok]
    assert [len(result.events) for result in results if isinstance(result, Ok)] == [2, 1, 0]
    assert results[0].aggregate.version == 1
    assert not results[0].aggregate.uncommitted
    stored = [event.identity for event in repository.store.read()]
    assert stored == ["bank.Account/1@0", "bank.Account/1@1", "bank.Account/3@0"]
    assert repository.get(Account, "1").balance == 5


def test_one_conflict_and_nothing_is_stored(repository):
    repository.commit(Account("2").opened("Bob")).unwrap()
    with pytest.raises(ConflictError) as lost:
        repository.commit_all([Account("1").opened("Ann"), Account("2").opened("Bob")])
    assert lost.value.conflict.stream == "bank.Account/2"
    assert not repository.get(Account, "1").exists


def test_an_aggregate_cannot_be_there_twice(repository):
    with pytest.raises(ValueError, match="and then again"):
        repository.commit_all([Account("1").opened("Ann"), Account("1").opened("Bob")])


def test_history_keeps_the_time_at_which_it_happened(repository):
    time = datetime(2013, 1, 1, 5, 17, tzinfo=timezone.utc)
    with metadata(actor="import"):
        (result,) = repository.commit_all(
            [Account("1").opened("Ann")], metadata={"reason": "r"}, occurred_at=lambda message: time
        )
    (event,) = result.events
    assert event.occurred_at == time
    assert event.recorded_at > time
    assert event.metadata["actor"] == "import"
    assert event.metadata["reason"] == "r"
    (read,) = repository.store.read()
    assert read.occurred_at == time


def test_what_happens_now_occurred_when_it_was_recorded(repository):
    (event,) = repository.commit(Account("1").opened("Ann")).events
    assert event.occurred_at == event.recorded_at


def test_many_are_fetched_at_once(repository):
    repository.commit(Account("1").opened("Ann").deposited(5)).unwrap()
    found = repository.get_all([Account("2"), Account("1")])
    assert [one.number for one in found] == ["2", "1"]
    assert [one.balance for one in found] == [0, 5]
    assert [one.version for one in found] == [-1, 1]


def test_too_many_events_are_refused(store):
    repository = Repository(store, limits=Limits(events_per_commit=2))
    account = Account("1").opened("Ann").deposited(1)
    with pytest.raises(TooLarge, match=r"3 events in one commit.*MAX_EVENTS_PER_COMMIT"):
        repository.commit(account.deposited(1))
    assert isinstance(repository.commit(account), Ok)


class Endless(Aggregate, name="limits.Endless"):
    number: str = key()

    @event
    def happened(self, text: str = "") -> None: ...

    @command
    def go_on(self, text: str) -> "Endless":
        while True:
            self = self.happened(text)


@pytest.mark.parametrize(
    ("limits", "text", "said"),
    [
        (Limits(events_per_commit=1_000), "", r"1,001 events .*MAX_EVENTS_PER_COMMIT"),
        (Limits(event_bytes=1_000), "x" * 1_000, r"has 1,0\d\d bytes.*MAX_EVENT_BYTES"),
        (Limits(commit_bytes=10_000_000), "x" * 100_000, r"12,80\d,\d+ bytes.*MAX_COMMIT_BYTES"),
    ],
)
def test_limits_hold_while_a_command_makes_events(store, limits, text, said):
    """Not at its commit alone: this one would never come so far."""
    with use(Dispatcher(Repository(store, limits=limits))), pytest.raises(TooLarge, match=said):
        Endless.go_on.transact("1", text=text)
    assert store.head() == 0


def test_limits_hold_where_there_is_no_repository():
    default = current()
    set_default(None)
    try:
        with pytest.raises(TooLarge, match=r"10,001 events"):
            Endless("1").go_on("")
    finally:
        set_default(default)


def test_all_events_of_a_commit_together_may_be_too_large(store):
    repository = Repository(store, limits=Limits(commit_bytes=1_000))
    with pytest.raises(TooLarge, match=r"1,[012]\d\d bytes.*MAX_COMMIT_BYTES.*Commit in between"):
        repository.commit(Account("1").opened("x" * 500).opened("y" * 500))
    assert store.head() == 0


def test_an_event_that_is_too_large_is_refused(store):
    repository = Repository(store, limits=Limits(event_bytes=200))
    with pytest.raises(TooLarge, match=r"bank\.Account\.opened has .* bytes.*MAX_EVENT_BYTES"):
        repository.commit(Account("1").opened("x" * 200))
    with pytest.raises(TooLarge):
        repository.commit_all([Account("2").opened("x"), Account("1").opened("x" * 200)])
    assert store.head() == 0
