"""Carrying out commands on the store in memory."""

from decimal import Decimal

import pytest

from rill_django import (
    Aggregate,
    Conflict,
    InvalidMessage,
    Ok,
    Rejected,
    command,
    event,
    key,
    metadata,
    transact,
)
from rill_django.dispatch import Dispatcher
from rill_django.domain.codec import encode_event
from rill_django.domain.registry import isolated_registry
from rill_django.domain.runtime import current, use
from rill_django.repository import CachingRepository, Repository
from rill_django.store.memory import MemoryEventStore
from tests.bank.domain import Account


class RacingStore(MemoryEventStore):
    """Somebody else deposits 1 just before us, some times."""

    def __init__(self, races: int) -> None:
        super().__init__()
        self.races = races
        self.tries = 0

    def append(self, stream, expected_version, events):
        self.tries += 1
        if self.races:
            self.races -= 1
            theirs = encode_event(Account.deposited.message("1", Decimal(1)))
            super().append(stream, self.version(stream), [theirs])
        return super().append(stream, expected_version, events)


@pytest.fixture(params=[Repository, CachingRepository])
def repository_class(request):
    return request.param


@pytest.fixture
def dispatcher(repository_class):
    with use(Dispatcher(repository_class(MemoryEventStore()))) as dispatcher:
        yield dispatcher


def racing(repository_class, races):
    store = RacingStore(races)
    return store, Dispatcher(repository_class(store))


class TestTransacting:
    def test_fetches_decides_and_commits(self, dispatcher):
        assert isinstance(Account.open.transact("1", "Ann"), Ok)
        result = Account.deposit.transact("1", amount=Decimal(5))
        assert result.unwrap().balance == 5
        [deposited] = result.events
        assert (deposited.version, deposited.amount) == (1, 5)
        assert Account.get("1") == result.unwrap()

    def test_takes_the_command_as_data(self, dispatcher):
        message = Account.open.from_dict({"number": "1", "owner": "Ann"})
        assert transact(message).unwrap().owner == "Ann"

    def test_gives_rejections_back(self, dispatcher):
        result = Account.withdraw.transact("1", Decimal(5))
        assert isinstance(result, Rejected)
        assert result.data == {"available": 0}
        assert dispatcher.repository.store.head() == 0

    def test_of_a_wrong_message_raises(self, dispatcher):
        with pytest.raises(InvalidMessage, match="amount"):
            Account.deposit.transact("1", Decimal(0))
        with pytest.raises(TypeError, match="needs 'amount'"):
            Account.deposit.transact("1")
        assert dispatcher.repository.store.head() == 0

    def test_notes_the_command_that_led_to_an_event(self, dispatcher):
        with metadata(actor="ann"):
            [opened] = Account.open.transact("1", "Ann").events
        assert opened.metadata == {"actor": "ann", "command": Account.open.name}


class TestAnExpectedVersion:
    def test_that_is_right_makes_no_difference(self, dispatcher):
        assert isinstance(Account.open.transact("1", "Ann", expected_version=-1), Ok)
        assert isinstance(Account.deposit.transact("1", 5, expected_version=0), Ok)

    def test_that_is_old_is_a_conflict_and_decides_nothing(self, dispatcher):
        Account.open.transact("1", "Ann")
        assert Account.open.transact("1", "Bob", expected_version=-1) == Conflict(
            Account("1").stream, -1, 0
        )
        assert Account.withdraw.transact("1", 5, expected_version=3) == Conflict(
            Account("1").stream, 3, 0
        )
        assert Account.get("1").version == 0

    def test_that_is_overtaken_is_a_conflict_and_not_tried_again(self, repository_class):
        store, dispatcher = racing(repository_class, 1)
        message = Account.open.message("1", "Ann")
        result = dispatcher.transact(message, expected_version=-1)
        assert result == Conflict(Account("1").stream, -1, 0)
        assert store.tries == 1


class TestALostRace:
    def test_is_tried_again_on_what_the_others_left(self, repository_class):
        store, dispatcher = racing(repository_class, 0)
        dispatcher.commit(Account("1").opened("Ann"))
        store.races, store.tries = 2, 0
        result = dispatcher.transact(Account.deposit.message("1", Decimal(5)))
        assert result.unwrap().balance == 7
        assert store.tries == 3

    def test_is_decided_anew(self, repository_class):
        store, dispatcher = racing(repository_class, 0)
        dispatcher.commit(Account("1").opened("Ann"))
        store.races, store.tries = 1, 0
        result = dispatcher.transact(Account.close.message("1"))
        assert result == Rejected(
            "not-empty", {"balance": 1}, dispatcher.update(Account("1"))
        )  # It was empty at first.
        assert store.tries == 1

    def test_too_often_is_a_conflict(self, repository_class, monkeypatch):
        pauses = []
        monkeypatch.setattr("rill_django.store.pauses.time.sleep", pauses.append)
        store, dispatcher = racing(repository_class, 0)
        dispatcher.commit(Account("1").opened("Ann"))
        store.races, store.tries = 100, 0
        result = dispatcher.transact(Account.deposit.message("1", Decimal(5)))
        assert isinstance(result, Conflict)
        assert store.tries == 15
        assert result.actual_version == store.version(result.stream)
        assert len(pauses) == 14
        assert len(set(pauses)) > 10  # At random.
        assert 0 <= min(pauses) <= max(pauses) <= 0.25
        patient = Dispatcher(dispatcher.repository, conflict_tries=5)
        store.races, store.tries = 4, 0
        assert isinstance(patient.transact(Account.deposit.message("1", Decimal(5))), Ok)
        assert store.tries == 5


def test_a_command_reads_from_where_it_is_carried_out(repository_class):
    with isolated_registry() as registry:

        class Follower(Aggregate):
            id: str = key()
            owner: str = ""

            @event
            def followed(self, owner: str):
                return self.evolve(owner=owner)

            @command
            def follow(self, number: str):
                assert current() is here
                return self.followed(self.read(Account, number).owner)

        here, elsewhere = (Dispatcher(repository_class(MemoryEventStore())) for _ in range(2))
        here.commit(Account("1").opened("Ann"))
        elsewhere.commit(Account("1").opened("Bob"))
        registry.add(Account, Account.type_name)
        with use(elsewhere):
            result = here.transact(Follower.follow.message("x", "1"))
            assert current() is elsewhere
        assert result.unwrap().owner == "Ann"
