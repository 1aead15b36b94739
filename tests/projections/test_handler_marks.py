"""Which methods handle which events: none is lost without a word."""

import functools
import warnings

import pytest
from asgiref.sync import async_to_sync

from rill_django import DELETE, DefinitionError, Projection, RowProjection, on, on_batch
from rill_django.projections.handler_results import WrongResult
from rill_django.projections.projection import HandlerFailed
from rill_django.testing import isolated_projections
from tests.bank.domain import Account
from tests.bank.models import AuditLine, Balance
from tests.projections.test_rows_batches import event

pytestmark = pytest.mark.django_db

OPENED, DEPOSITED, CLOSED = Account.opened.name, Account.deposited.name, Account.closed.name


@pytest.fixture(autouse=True)
def alone():
    with isolated_projections():
        yield


def lines():
    return list(AuditLine.objects.order_by("pk").values_list("text", flat=True))


def write(text):
    AuditLine.objects.create(text=text, position=1)


async def coroutine(self, event): ...


def generator(self, event):
    yield


async def generating_coroutine(self, event):
    yield


@pytest.mark.parametrize(
    ("handler", "what"),
    [
        (coroutine, "is async"),
        (generator, "is a generator"),
        (generating_coroutine, "is async"),
        (functools.partial(coroutine, None), "is async"),
        (staticmethod(lambda event: None), "is a staticmethod"),
        (classmethod(lambda cls, event: None), "is a classmethod"),
        (property(lambda self: None), "is a property"),
    ],
)
@pytest.mark.parametrize("mark", [on, on_batch])
def test_what_would_never_run(mark, handler, what):
    with pytest.raises(DefinitionError, match=what):
        mark(Account.opened)(handler)


def test_a_coroutine_that_is_run_is_a_plain_method():
    class Running(Projection):
        models = (AuditLine,)

        @on(Account.opened)
        @async_to_sync
        async def opened(self, event):
            await AuditLine.objects.acreate(text=event.owner, position=1)

    Running().apply([event(OPENED, "1", owner="Ann")])
    assert lines() == ["Ann"]


@pytest.mark.parametrize("second", [Account.closed, Account.opened])
def test_two_handlers_of_the_same_name(second):
    with pytest.raises(
        DefinitionError, match=r"Twice: the handler happened of bank.Account.opened"
    ):

        class Twice(Projection):
            models = (AuditLine,)

            @on(Account.opened)
            def happened(self, event): ...

            @on(second)
            def happened(self, event): ...  # noqa: F811

    class Twice(Projection):  # The mend, in the same place.
        models = (AuditLine,)

        @on(Account.opened)
        def happened(self, event): ...

        @on(Account.closed)
        def closed(self, event): ...

    assert set(Twice.handlers) == {OPENED, CLOSED}


def test_a_handler_whose_name_something_else_takes():
    with pytest.raises(DefinitionError, match="would never be called"):

        class Plain(Projection):
            models = (AuditLine,)

            @on(Account.opened)
            def happened(self, event): ...

            def happened(self): ...  # noqa: F811

    class Helped:
        @on(Account.opened)
        def opened(self, event): ...

        @on(Account.closed)
        def opened(self, event): ...  # noqa: F811

    with pytest.raises(
        DefinitionError, match=r"Helped: the handler opened of .*would never be called"
    ):

        class Helping(Helped, Projection):
            models = (AuditLine,)

    with pytest.raises(DefinitionError, match="would never be called"):

        class Class(Projection):
            models = (AuditLine,)

            @classmethod
            @on(Account.opened)
            def happened(cls, event): ...


def test_a_handler_may_be_wrapped():
    def logged(handler):
        @functools.wraps(handler)
        def wrapper(self, event):
            write("before")
            return handler(self, event)

        return wrapper

    class Wrapped(Projection):
        models = (AuditLine,)

        @logged
        @on(Account.opened, Account.closed)
        @on(Account.deposited)
        def happened(self, event):
            write(event.type)

    Wrapped().apply([event(OPENED, "1"), event(DEPOSITED, "1")])
    assert lines() == ["before", OPENED, "before", DEPOSITED]


def test_both_marks_on_one_method():
    with pytest.raises(DefinitionError, match="both @on and @on_batch"):

        class Both(Projection):
            models = (AuditLine,)

            @on(Account.opened)
            @on_batch(Account.closed)
            def happened(self, event): ...


class Opening:
    """No projection itself: what several projections have in common."""

    @on(Account.opened)
    def opened(self, event):
        write(f"{self.greeting} {event.owner}")


def test_handlers_are_inherited_from_all_bases():
    class First(Projection):
        models = (AuditLine,)

        @on(Account.closed)
        def closed(self, event):
            write("closed")

    class Second(Projection):
        models = (AuditLine,)

        @on_batch(Account.deposited)
        def deposited(self, events):
            write(f"{len(events)} deposited")

    class All(Opening, First, Second):
        greeting = "Hello"

    happened = [event(OPENED, "1", owner="Ann"), event(DEPOSITED, "1"), event(DEPOSITED, "1")]
    All().apply([*happened, event(CLOSED, "1")])
    assert lines() == ["Hello Ann", "2 deposited", "closed"]


def test_an_override_is_called():
    class Base(RowProjection):
        model = Balance
        key = "number"

        @on(Account.opened, key="nickname")
        def opened(self, row, event):
            row.owner = event.owner

        @on(Account.closed)
        def closed(self, row, event):
            return DELETE

        @on(Account.deposited)
        def deposited(self, row, event):
            row.balance += 1

    class Loud(Base):
        closed = None

        def opened(self, row, event):
            super().opened(row, event)
            row.owner += "!"

        @on(Account.withdrawn)
        def deposited(self, row, event):
            row.balance -= 1

    assert set(Loud.handlers) == {OPENED, DEPOSITED, Account.withdrawn.name}
    Loud().apply([event(OPENED, "1", nickname="2", owner="Ann"), event(DEPOSITED, "2")])
    assert list(Balance.objects.values_list("number", "owner", "balance")) == [("2", "Ann!", 1)]
    assert set(Base.handlers) == {OPENED, DEPOSITED, CLOSED}
    with pytest.raises(DefinitionError, match=r"Late overrides a handler.*is async"):

        class Late(Base):
            async def opened(self, row, event): ...


def free(result):
    with isolated_projections():

        class Free(Projection):
            models = (AuditLine,)

            @on(Account.opened)
            def opened(self, event):
                return result()

            @on_batch(Account.closed)
            def closed(self, events):
                return result()

        return Free()


def refused(projection, *events):
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        with pytest.raises((HandlerFailed, WrongResult)) as caught:
            projection.apply(events)
    return caught.value.__cause__ or caught.value


@pytest.mark.parametrize(
    "result", [lambda: DELETE, lambda: coroutine(None, None), lambda: generator(None, None)]
)
def test_results_that_would_be_lost(result):
    for events in ([event(OPENED, "1")], [event(CLOSED, "1")], [event(CLOSED, "1")] * 2):
        error = refused(free(result), *events)
        assert isinstance(error, WrongResult)
        assert "Free." in str(error)


def test_a_free_handler_may_return_what_its_last_call_gave_it():
    free(lambda: AuditLine.objects.create(text="x", position=1)).apply([event(OPENED, "1")])
    assert lines() == ["x"]


@pytest.mark.parametrize("function", [coroutine, generator, generating_coroutine])
def test_key_functions_that_give_no_key(function):
    with pytest.raises(DefinitionError, match="key function"):

        class Keyed(RowProjection):
            model = Balance
            key = function

            @on(Account.opened)
            def opened(self, row, event): ...

    with pytest.raises(DefinitionError, match="key function"):

        class Own(RowProjection):
            model = Balance
            key = "number"

            @on(Account.opened, key=function)
            def opened(self, row, event): ...


def test_a_generator_may_give_several_keys():
    def both(event):
        yield event.number
        yield "all"

    class Sums(RowProjection):
        model = Balance
        keys = both

        @on(Account.deposited)
        def deposited(self, row, event):
            row.movements += 1

    Sums().apply([event(DEPOSITED, "1"), event(DEPOSITED, "2")])
    assert dict(Balance.objects.values_list("number", "movements")) == {"1": 1, "2": 1, "all": 2}
