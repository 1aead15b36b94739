"""What handlers may say about the rows they change, and handlers of several events at once."""

import pytest

from rill_django import DELETE, DefinitionError, Projection, RowProjection, on
from rill_django.domain.errors import RillError
from rill_django.projections.handler_marks import on_batch
from rill_django.projections.projection import HandlerFailed
from rill_django.testing import isolated_projections
from tests.bank.domain import Account
from tests.bank.models import AuditLine, Balance, Branch
from tests.projections.test_rows_batches import event

pytestmark = pytest.mark.django_db

OPENED, MOVED, CLOSED = Account.opened.name, Account.deposited.name, Account.closed.name


@pytest.fixture(autouse=True)
def alone():
    with isolated_projections():
        yield


def owners():
    return dict(Balance.objects.values_list("number", "owner"))


def balances():
    return {number: int(one) for number, one in Balance.objects.values_list("number", "balance")}


def moving(keys):
    class Moving(RowProjection):
        model = Balance
        key = "number"

        @on(Account.deposited, keys=keys)
        def moved(self, row, event):
            if row.number == event.sender:
                row.balance -= event.amount
            if row.number == event.recipient:
                row.balance += event.amount

        @on(Account.opened)
        def opened(self, row, event):
            row.owner = event.owner

    return Moving()


@pytest.mark.parametrize(
    "keys",
    [
        ("sender", "recipient"),
        lambda event: [event.sender, event.recipient],
        lambda event: ({"pk": one} for one in (event.sender, event.recipient)),
        lambda event: [{"number": event.sender}, None, {"pk": event.recipient}],
    ],
)
def test_an_event_may_change_several_rows(keys):
    projection = moving(keys)
    events = [
        event(OPENED, "c", owner="Carl"),
        event(MOVED, "x", sender="a", recipient="b", amount=5),
        event(MOVED, "x", sender="b", recipient="c", amount=2),
        event(MOVED, "x", sender="b", recipient="b", amount=100),
    ]
    projection.apply(events)
    assert balances() == {"a": -5, "b": 3, "c": 2}
    assert owners()["c"] == "Carl"
    assert projection.keys_of(events[1]) == ("a", "b")
    assert projection.keys_of(events[3]) == ("b",)


@pytest.mark.parametrize("nothing", [None, [], [None]])
def test_an_event_may_change_no_row(nothing):
    projection = moving(lambda event: nothing)
    projection.apply([event(MOVED, "x", sender="a", recipient="b", amount=5)])
    assert balances() == {}
    assert projection.keys_of(event(MOVED, "x", sender="a", recipient="b", amount=5)) == ()


def test_keys_for_all_handlers():
    class Both(RowProjection):
        model = Branch
        keys = lambda event: [{"branch": one, "owner": event.owner} for one in event.at]  # noqa: E731

        @on(Account.opened)
        def opened(self, row, event):
            row.accounts += 1

        @on(Account.closed)
        def closed(self, row, event):
            return DELETE if row.branch != "kept" else None

    projection = Both()
    projection.apply(
        [
            event(OPENED, "1", owner="Ann", at=["main", "kept"]),
            event(OPENED, "1", owner="Ann", at=["main"]),
            event(OPENED, "1", owner="Bob", at=["main"]),
            event(CLOSED, "1", owner="Ann", at=["kept", "main", "other"]),
        ]
    )
    assert set(Branch.objects.values_list("branch", "owner", "accounts")) == {
        ("kept", "Ann", 1),
        ("main", "Bob", 1),
    }
    assert projection.keys_of(event(OPENED, "1", owner="Ann", at=["a", "b"])) == (
        '["a", "Ann"]',
        '["b", "Ann"]',
    )


@pytest.mark.parametrize(
    ("class_key", "own_key"),
    [
        ("number", "nickname"),
        ("number", lambda event: event.nickname),
        ("number", lambda event: {"number": event.nickname}),
        (lambda event: event.number, "nickname"),
        (("number",), ("nickname",)),
    ],
)
def test_a_handler_may_have_a_key_of_its_own(class_key, own_key):
    class Own(RowProjection):
        model = Balance
        key = staticmethod(class_key) if callable(class_key) else class_key

        @on(Account.opened)
        def opened(self, row, event):
            row.owner = event.owner

        @on(Account.deposited, key=own_key)
        def named(self, row, event):
            row.owner += "!"

    Own().apply([event(OPENED, "1", owner="Ann"), event(MOVED, "2", nickname="1")])
    assert owners() == {"1": "Ann!"}


def test_a_subclass_has_its_own_say():
    class Base(RowProjection):
        model = Balance
        key = "number"

        @on(Account.opened, key="nickname")
        def opened(self, row, event):
            row.owner = "base"

    class Other(Base):
        @on(Account.opened)
        def opened(self, row, event):
            row.owner = "other"

    Other().apply([event(OPENED, "1", nickname="2")])
    Base().apply([event(OPENED, "1", nickname="2")])
    assert owners() == {"1": "other", "2": "base"}


@pytest.mark.parametrize(
    ("wrong", "message"),
    [
        (lambda event: {"nmber": 1}, r"names the field 'nmber', which bank.Balance does not have"),
        (lambda event: {"owner": "Ann"}, r"same fields of bank.Balance. One names owner"),
        (lambda event: {"number": None}, r"the field number of the key has no value"),
        (lambda event: event.nothing, r"has no 'nothing'; it has number"),
        (lambda event: {}, r"same fields"),
    ],
)
def test_a_key_that_is_none_is_an_error_that_names_projection_field_and_event(wrong, message):
    class Wrong(RowProjection):
        model = Balance
        key = "number"

        @on(Account.opened, key=wrong)
        def opened(self, row, event): ...

    with pytest.raises(HandlerFailed, match=message) as failed:
        Wrong().apply([event(OPENED, "1")])
    assert "Wrong failed on bank.Account/1@0 (bank.Account.opened" in str(failed.value)
    assert Wrong().keys_of(event(OPENED, "1")) == ("bank.Account/1",)


@pytest.mark.parametrize(
    ("wrong", "message"),
    [
        (lambda event: ["main"], "has to have 2 values, for branch, owner; it is 'main'"),
        (lambda event: [("a", "b", "c")], "has to have 2 values"),
        (lambda event: "main", "a list of keys; it gave 'main'"),
        (lambda event: {"branch": "a", "owner": "b"}, "a list of keys"),
    ],
)
def test_keys_that_are_none(wrong, message):
    class Wrong(RowProjection):
        model = Branch
        key = ("branch", "owner")

        @on(Account.opened, keys=wrong)
        def opened(self, row, event): ...

    with pytest.raises(HandlerFailed, match=message):
        Wrong().apply([event(OPENED, "1")])


def test_a_key_function_whose_fields_are_not_unique():
    class Wrong(RowProjection):
        model = Branch
        key = lambda event: {"branch": "main"}  # noqa: E731

        @on(Account.opened)
        def opened(self, row, event): ...

    with pytest.raises(HandlerFailed, match=r"branch is not unique in bank\.Branch"):
        Wrong().apply([event(OPENED, "1")])


@pytest.mark.parametrize("name", ["number", "pk"])
def test_a_handler_must_not_change_the_key(name):
    class Changing(RowProjection):
        model = Balance
        key = "number"

        @on(Account.opened)
        def opened(self, row, event):
            row.number = event.becomes

    Changing().apply([event(OPENED, "1", becomes="1")])
    for number in ("1", "2"):
        with pytest.raises(HandlerFailed, match=rf"changed number of the row '{number}'"):
            Changing().apply([event(OPENED, number, becomes="3")])


def test_definitions_that_cannot_work():
    with pytest.raises(DefinitionError, match="got both"):
        on(Account.opened, key="a", keys=("b",))
    with pytest.raises(DefinitionError, match="function or a tuple"):
        on(Account.opened, keys="number")
    with pytest.raises(DefinitionError, match=r"in a RowProjection only"):

        class Free(Projection):
            models = (Balance,)

            @on(Account.opened, key="number")
            def opened(self, event): ...

    with pytest.raises(DefinitionError, match="which row an event changes"):

        class Both(RowProjection):
            model = Balance
            key = "number"
            keys = lambda event: []  # noqa: E731

            @on(Account.opened)
            def opened(self, row, event): ...

    with pytest.raises(DefinitionError, match="left to one partition"):

        class Split(RowProjection):
            model = Balance
            key = "number"
            partitions = 2

            @on(Account.opened, keys=("a", "b"))
            def opened(self, row, event): ...

    with pytest.raises(DefinitionError, match="has to be a function"):

        class Names(RowProjection):
            model = Balance
            keys = ("a", "b")

            @on(Account.opened)
            def opened(self, row, event): ...

    with pytest.raises(DefinitionError, match="@on_batch"):

        class Batches(RowProjection):
            model = Balance
            key = "number"

            @on_batch(Account.opened)
            def opened(self, events): ...

    with pytest.raises(DefinitionError, match="@on_batch takes event types"):
        on_batch("bank.Account.opened")


class TestBatches:
    @pytest.fixture
    def seen(self):
        return []

    @pytest.fixture
    def projection(self, seen):
        class Mixed(Projection):
            models = (AuditLine,)

            @on_batch(Account.opened, Account.closed)
            def several(self, events):
                seen.append([one.number for one in events])
                if "bad" in seen[-1]:
                    raise ValueError("cannot")

            @on(Account.deposited)
            def single(self, event):
                seen.append(event.number)

        return Mixed()

    def test_it_gets_as_many_as_follow_each_other(self, projection, seen):
        projection.apply(
            [
                event(OPENED, "1"),
                event(Account.withdrawn.name, "-"),
                event(CLOSED, "2"),
                event(MOVED, "3"),
                event(MOVED, "4"),
                event(OPENED, "5"),
            ]
        )
        assert seen == [["1", "2"], "3", "4", ["5"]]

    def test_a_session_of_free_handlers_keeps_nothing(self, projection, seen):
        session = projection.session(is_empty=True)
        session.apply(iter([event(OPENED, "1")]))
        session.flush()
        session.apply([event(OPENED, "2")])
        assert seen == [["1"], ["2"]]

    def test_an_error_with_one_event_names_it(self, projection):
        with pytest.raises(HandlerFailed, match=r"bank\.Account/bad@0"):
            projection.apply([event(MOVED, "1"), event(OPENED, "bad")])

    def test_an_error_with_several_comes_as_it_is(self, projection):
        with pytest.raises(ValueError, match="cannot") as error:
            projection.apply([event(OPENED, "1"), event(OPENED, "bad")])
        assert not isinstance(error.value, RillError)
