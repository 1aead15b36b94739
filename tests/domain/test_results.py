import pickle
from decimal import Decimal

import pytest

from rill_django import Conflict, ConflictError, InvalidMessage, Ok, Rejected, RejectedError
from rill_django.domain.errors import UnreadableEvent
from rill_django.domain.results import Later
from tests.domain.shop import Account


def described(result):
    match result:
        case Ok(aggregate=account, events=()):
            return f"nothing new for {account.number}"
        case Ok(Account(number=number)):
            return f"done for {number}"
        case Rejected("insufficient-funds", {"available": available}):
            return f"only {available}"
        case Rejected(reason=reason):
            return reason
        case Conflict(actual_version=version):
            return f"now at {version}"


class TestResultsInAMatchStatement:
    def test_ok(self):
        assert described(Ok(Account("1"))) == "nothing new for 1"
        assert described(Ok(Account("1"), ("event",))) == "done for 1"

    def test_rejected(self):
        assert described(Account("1").withdraw(Decimal(1))) == "only 0"
        assert described(Account("1").reject("no")) == "no"

    def test_conflict(self):
        assert described(Conflict("tests.Account/1", 1, 2)) == "now at 2"


class TestTruth:
    """A rejection would be true like any other value."""

    RESULTS = (Ok(Account("1")), Account("1").reject("no"), Conflict("tests.Account/1", 1, 2))

    @pytest.mark.parametrize("result", RESULTS)
    @pytest.mark.parametrize(
        "tested",
        [
            bool,
            lambda it: it or None,
            lambda it: not it,
            lambda it: any([it]),
            lambda it: 1 if it else 0,
        ],
    )
    def test_no_result_is_true_or_false(self, result, tested):
        with pytest.raises(TypeError) as refused:
            tested(result)
        assert str(refused.value) == (
            f"{type(result).__name__} is neither true nor false, as no result is. Look at it with match: "
            "case Ok(aggregate=…), case Rejected(reason=…), case Conflict(); ask isinstance(result, Ok); or "
            "take result.unwrap(), which gives the aggregate and raises for the others."
        )

    def test_so_the_mistake_is_seen_as_soon_as_a_command_is_rejected(self):
        account = Account("1").opened("Ann").deposited(Decimal(5))
        assert account.withdraw(Decimal(1))  # An aggregate is a value like others, and true.
        with pytest.raises(TypeError, match="Rejected is neither true nor false"):
            bool(account.withdraw(Decimal(10)))


class TestAttributesOfTheAggregate:
    def test_are_where_it_says(self):
        with pytest.raises(AttributeError) as missing:
            Ok(Account("1")).balance  # noqa: B018
        assert str(missing.value) == (
            "'Ok' object has no attribute 'balance'. What is of the aggregate: result.aggregate.balance."
        )

    def test_are_not_there_when_it_was_not_carried_out(self):
        with pytest.raises(AttributeError) as missing:
            Account("1").reject("no").events  # noqa: B018
        assert str(missing.value) == (
            "'Rejected' object has no attribute 'events'. The command was not carried out. Look at the "
            "result with match, or take result.unwrap(), which gives the aggregate of an Ok and raises "
            "otherwise."
        )
        assert not hasattr(Account("1").reject("no"), "events")

    def test_that_are_made_later_raise_what_their_making_raises(self):
        def make():
            return None.balance

        with pytest.raises(AttributeError, match="'NoneType' object has no attribute 'balance'"):
            Ok(Later("tests.Account/1", 1, make)).aggregate  # noqa: B018


class TestValues:
    RESULTS = (
        Ok(Account("1"), ("event",)),
        Account("1").reject("no", amount=Decimal(1)),
        Conflict("tests.Account/1", 1, 2),
    )

    @pytest.mark.parametrize("result", RESULTS)
    def test_they_cannot_be_changed_and_are_equal_to_their_copies(self, result):
        with pytest.raises(AttributeError):
            result.stream = "another"
        with pytest.raises(AttributeError):
            result.reason = "another"
        copy = pickle.loads(pickle.dumps(result))
        assert copy == result
        assert repr(copy) == repr(result)
        assert all(result != other for other in (*self.RESULTS, None) if other is not result)

    def test_they_say_what_they_are(self):
        ok, rejected, _ = self.RESULTS
        assert repr(ok) == "Ok(aggregate=Account('1', version=-1), events=('event',))".replace(
            "Account('1', version=-1)", repr(Account("1"))
        )
        assert repr(rejected).startswith("Rejected(reason='no', data={'amount': Decimal('1')}")
        assert (ok.stream, ok.version) == ("tests.Account/1", -1)
        assert (rejected.stream, rejected.version) == ("tests.Account/1", -1)

    def test_an_aggregate_may_be_made_later_and_once(self):
        made = []
        later = Later("tests.Account/1", 3, lambda: made.append(1) or Account("1"))
        ok = Ok(later)
        assert (ok.stream, ok.version, made) == ("tests.Account/1", 3, [])
        assert ok.unwrap() == ok.aggregate == Account("1")
        assert ok == Ok(Account("1"))
        assert pickle.loads(pickle.dumps(ok)) == ok
        assert made == [1]


class TestUnwrapping:
    def test_ok_gives_the_aggregate(self):
        assert Ok(Account("1")).unwrap() == Account("1")

    def test_a_rejection_raises(self):
        rejected = Account("1").withdraw(Decimal(1))
        with pytest.raises(
            RejectedError,
            match=r"^tests.Account/1: rejected: insufficient-funds, available=Decimal\('0'\)$",
        ) as caught:
            rejected.unwrap()
        assert caught.value.rejection is rejected

    def test_a_conflict_raises(self):
        conflict = Conflict("tests.Account/1", -1, 2)
        with pytest.raises(
            ConflictError, match=r"tests.Account/1: expected version -1, but the stream is at 2"
        ) as caught:
            conflict.unwrap()
        assert caught.value.conflict is conflict


@pytest.mark.parametrize(
    "error",
    [
        InvalidMessage("tests.Account.opened", "owner", "is required"),
        UnreadableEvent("tests.Account/1", 3, "tests.Account.opened", "no owner"),
        RejectedError(Account("1").withdraw(Decimal(1))),
        ConflictError(Conflict("tests.Account/1", -1, 2)),
    ],
)
def test_errors_reach_other_processes(error):
    copy = pickle.loads(pickle.dumps(error))
    assert type(copy) is type(error)
    assert str(copy) == str(error)
    assert copy.__dict__ == error.__dict__
