"""The same key with the same command gets the first result, whenever it comes."""

import pickle
from concurrent.futures import ThreadPoolExecutor
from datetime import datetime, timedelta
from datetime import timezone as utc
from decimal import Decimal
from io import StringIO
from threading import Barrier

import pytest
from django.core.management import call_command
from django.db import connection, connections
from django.utils import timezone

from rill_django import Aggregate, Conflict, InvalidMessage, Ok, Rejected, command, key
from rill_django.dispatch import Dispatcher
from rill_django.models import Answer, Event
from rill_django.repository import Repository
from rill_django.store import moments, orm_answers
from rill_django.store.answers import DEFAULT_LIFETIME, IdempotencyKeyReused, MemoryAnswers
from rill_django.store.memory import MemoryEventStore
from rill_django.store.orm import DjangoEventStore
from rill_django.store.orm_answers import DjangoAnswers
from tests.bank.domain import Account

pytestmark = pytest.mark.django_db


@pytest.fixture(params=[MemoryEventStore, DjangoEventStore])
def dispatcher(request):
    return Dispatcher(Repository(request.param()))


def deposit(dispatcher, amount, key, **options):
    message = Account.deposit.message("1", amount)
    return dispatcher.transact(message, idempotency_key=key, **options)


@pytest.fixture
def account(dispatcher):
    dispatcher.transact(Account.open.message("1", "Ann")).unwrap()


@pytest.mark.usefixtures("account")
def test_a_repetition_gets_the_first_result_and_decides_nothing(dispatcher):
    first = deposit(dispatcher, 5, "k1")
    deposit(dispatcher, 7, "k2")
    again = deposit(dispatcher, 5, "k1")
    assert isinstance(first, Ok)
    assert again.aggregate == first.aggregate
    assert again.aggregate.balance == 5
    assert [event.identity for event in again.events] == [event.identity for event in first.events]
    assert dispatcher.repository.get(Account, "1").balance == 12


@pytest.mark.usefixtures("account")
def test_a_repetition_reads_its_own_events_and_no_others(dispatcher, monkeypatch):
    """A stream may be long; the aggregate is made when somebody asks for it."""
    first = deposit(dispatcher, 5, "k1")
    for number in range(20):
        deposit(dispatcher, 7, f"other {number}")
    read = []
    fetch = dispatcher.repository.store.fetch

    def counted(selection):
        found = fetch(selection)
        read.append(len(found))
        return found

    monkeypatch.setattr(dispatcher.repository.store, "fetch", counted)
    with monkeypatch.context() as patch:
        patch.setattr(dispatcher.repository.store, "load", None)
        again = deposit(dispatcher, 5, "k1")
    assert (again.stream, again.version) == (first.stream, first.version)
    assert [one.message for one in again.events] == [one.message for one in first.events]
    assert [one.position for one in again.events] == [None]
    assert read == [1]
    assert again.aggregate == first.aggregate
    assert again.aggregate is again.aggregate


@pytest.mark.usefixtures("account")
def test_a_rejection_is_remembered_too(dispatcher):
    message = Account.withdraw.message("1", 5)
    first = dispatcher.transact(message, idempotency_key="k")
    deposit(dispatcher, 100, "other")
    again = dispatcher.transact(message, idempotency_key="k")
    assert isinstance(again, Rejected)
    assert again.reason == first.reason == "insufficient-funds"
    assert again.data == {"available": Decimal(0)}
    assert again.aggregate.balance == Decimal(0)


@pytest.mark.usefixtures("account")
def test_an_accepted_command_without_events_is_remembered_as_that(dispatcher):
    dispatcher.transact(Account.close.message("1"), idempotency_key="k").unwrap()
    again = dispatcher.transact(Account.close.message("1"), idempotency_key="k")
    assert len(again.events) == 1


@pytest.mark.usefixtures("account")
@pytest.mark.parametrize("amount", [5, 500], ids=["Ok", "Rejected"])
def test_a_repetition_is_marked_as_one_and_equals_the_first(dispatcher, amount):
    deposit(dispatcher, 50, "k0")
    message = Account.withdraw.message("1", amount)
    first, again, third = (dispatcher.transact(message, idempotency_key="k") for _ in range(3))
    without = dispatcher.transact(Account.close.message("1"))
    marks = [one.is_repetition for one in (first, again, third, without)]
    assert marks == [False, True, True, False]
    if isinstance(first, Ok):
        assert pickle.loads(pickle.dumps(again)).is_repetition
    assert first == again == third
    assert again != without


@pytest.mark.usefixtures("account")
def test_the_same_key_with_another_command_is_an_error(dispatcher):
    deposit(dispatcher, 5, "k")
    with pytest.raises(IdempotencyKeyReused, match="'k' was used for another command"):
        deposit(dispatcher, 6, "k")
    with pytest.raises(IdempotencyKeyReused):
        dispatcher.transact(Account.withdraw.message("1", 5), idempotency_key="k")
    assert dispatcher.repository.get(Account, "1").balance == 5


@pytest.mark.usefixtures("account")
def test_a_conflict_is_not_remembered(dispatcher):
    assert isinstance(deposit(dispatcher, 5, "k", expected_version=7), Conflict)
    assert isinstance(deposit(dispatcher, 5, "k", expected_version=0), Ok)


def test_an_error_leaves_the_key_free(dispatcher, monkeypatch):
    def fails(self, owner):
        raise ZeroDivisionError

    monkeypatch.setattr(Account.open, "function", fails)
    message = Account.open.message("1", "Ann")
    with pytest.raises(ZeroDivisionError):
        dispatcher.transact(message, idempotency_key="k")
    monkeypatch.undo()
    assert isinstance(dispatcher.transact(message, idempotency_key="k"), Ok)


@pytest.mark.django_db(transaction=True)
def test_of_those_that_come_at_the_same_moment_one_is_carried_out():
    Account.open.transact("1", "Ann").unwrap()
    barrier = Barrier(6)

    def send(index):
        try:
            barrier.wait()
            return Account.deposit.transact("1", 5, idempotency_key="k")
        finally:
            connections.close_all()

    with ThreadPoolExecutor(6) as pool:
        results = list(pool.map(send, range(6)))
    assert all(isinstance(result, Ok) for result in results)
    assert {result.events[0].identity for result in results} == {"bank.Account/1@1"}
    assert Account.get("1").balance == 5
    assert DjangoEventStore().head() == 2


def test_an_answer_is_forgotten_when_its_time_is_over():
    Account.open.transact("1", "Ann").unwrap()
    Account.deposit.transact("1", 5, idempotency_key="old").unwrap()
    Account.deposit.transact("1", 5, idempotency_key="new").unwrap()
    Answer.objects.filter(key="old").update(expires_at=timezone.now() - timedelta(seconds=1))
    out = StringIO()
    call_command("prune_idempotency_keys", stdout=out)
    assert "1 answers forgotten." in out.getvalue()
    assert list(Answer.objects.values_list("key", flat=True)) == ["new"]


def test_a_key_whose_time_is_over_can_be_used_again():
    Account.open.transact("1", "Ann").unwrap()
    Account.deposit.transact("1", 5, idempotency_key="k").unwrap()
    Answer.objects.update(expires_at=timezone.now() - timedelta(seconds=1))
    Account.deposit.transact("1", 6, idempotency_key="k").unwrap()
    assert Account.get("1").balance == 11


@pytest.mark.skipif("connection.vendor == 'sqlite'", reason="the host's clock is the database's")
@pytest.mark.parametrize(
    "wrong", [timedelta(days=-300), timedelta(days=300)], ids=["late", "early"]
)
def test_answers_expire_by_the_databases_clock_not_by_the_hosts(monkeypatch, wrong):
    def wrong_clock():
        return datetime.now(utc.utc) + wrong

    Account.open.transact("1", "Ann").unwrap()
    Account.deposit.transact("1", 5, idempotency_key="right").unwrap()
    monkeypatch.setattr(moments, "now", wrong_clock)
    monkeypatch.setattr(orm_answers, "now", wrong_clock, raising=False)
    monkeypatch.setattr(timezone, "now", wrong_clock)
    Account.deposit.transact("1", 5, idempotency_key="wrong").unwrap()
    expire = dict(Answer.objects.values_list("key", "expires_at"))
    assert abs(expire["right"] - expire["wrong"]) < timedelta(minutes=5)
    recorded_at = Event.objects.latest("id").recorded_at
    assert abs(expire["wrong"] - recorded_at - DEFAULT_LIFETIME) < timedelta(minutes=5)
    for one in expire:
        assert Account.deposit.transact("1", 5, idempotency_key=one).is_repetition
    assert DjangoEventStore().answers.prune() == 0
    assert Account.get("1").balance == 10


@pytest.mark.parametrize("zone", ["UTC", "Pacific/Kiritimati", "America/Los_Angeles"])
def test_answers_live_as_long_whatever_the_time_zone(settings, zone):
    settings.TIME_ZONE = zone
    answers = DjangoAnswers(lifetime=timedelta(hours=1))
    with answers.transaction():
        assert answers.claim("k", "c") is None
        answers.answer("k", b"x")
    left = Answer.objects.get().expires_at - datetime.now(utc.utc)
    assert timedelta(minutes=50) < left < timedelta(minutes=70)
    with answers.transaction():
        assert answers.claim("k", "c") == b"x"
    assert answers.prune() == 0


def test_answers_in_memory_are_forgotten_too():
    answers = MemoryAnswers(lifetime=timedelta(0))
    with answers.transaction():
        assert answers.claim("k", "c") is None
        answers.answer("k", b"x")
        assert answers.claim("k", "another") is None


class Scales(Aggregate, name="tests.Scales"):
    """Says of a weight what may be no number."""

    number: str = key()

    @command
    def weigh(self, by: int):
        weights = [Decimal(5) / by] if by else [Decimal("Infinity")]
        return self.reject("too-heavy", weights=weights)


class TestTheDataOfARejection:
    @pytest.mark.parametrize("repeats", [1, 2])
    def test_that_cannot_be_stored_is_an_error_each_time(self, dispatcher, repeats):
        message = Scales.weigh.message("1", 0)
        for _ in range(repeats):
            with pytest.raises(InvalidMessage, match=r"rejection, field 'weights\[0\]': .* finite"):
                dispatcher.transact(message, idempotency_key="k")
        assert dispatcher.transact(Scales.weigh.message("1", 2), idempotency_key="k") is not None

    def test_is_changed_by_nobody(self, dispatcher):
        message = Scales.weigh.message("1", 1)
        for _ in range(2):
            rejected = dispatcher.transact(message, idempotency_key="k")
            with pytest.raises(TypeError, match="never change"):
                rejected.data["weights"].clear()
            with pytest.raises(TypeError, match="never change"):
                rejected.data.clear()
            assert [Decimal(one) for one in rejected.data["weights"]] == [5]


assert connection  # for the condition of skipif
