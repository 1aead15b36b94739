"""Handlers that take the event's fields as arguments, and projections with a model in brackets."""

from decimal import Decimal
from typing import TypeVar

import pytest
from django.db import models

from rill_django import (
    DELETE,
    Aggregate,
    DefinitionError,
    Projection,
    RecordedEvent,
    RowProjection,
    commit,
    event,
    key,
    on,
    on_batch,
    upcast,
)
from rill_django.domain.records import NewEvent
from rill_django.domain.registry import current_registry, isolated_registry
from rill_django.projections.projection import HandlerFailed
from rill_django.projections.rebuild import rebuild
from rill_django.projections.worker import catch_up
from rill_django.store.orm import DjangoEventStore
from rill_django.testing import isolated_projections
from tests.bank.domain import Account
from tests.bank.models import AuditLine, Balance

pytestmark = pytest.mark.django_db(transaction=True)


@pytest.fixture(autouse=True)
def alone():
    with isolated_projections():
        yield


class Plan:
    """Handlers, in a class that other projections take over."""

    key = "number"

    @on(Account.opened)
    def opened(self, row: Balance, event: RecordedEvent, owner: str, branch: str) -> None:
        assert event.owner == owner
        row.owner = f"{owner}@{branch}"

    @on(Account.deposited)
    def deposited(self, row, event, amount):
        row.balance += amount

    @on(Account.withdrawn)
    def withdrawn(self, row, event):
        row.balance -= event.amount

    @on(Account.closed)
    def closed(self, row, event):
        return DELETE


def rows():
    return {row.number: (row.owner, int(row.balance)) for row in Balance.objects.all()}


def commands():
    Account.open.transact("1", owner="Ann").unwrap()
    Account.open.transact("2", owner="Bob").unwrap()
    Account.deposit.transact("1", amount=100).unwrap()
    Account.withdraw.transact("1", amount=30).unwrap()
    Account.close.transact("2").unwrap()


@pytest.mark.parametrize("is_inline", [False, True])
def test_rows_are_made_of_arguments(is_inline):
    class Balances(Plan, RowProjection[Balance]):
        inline = is_inline

    if is_inline:
        rebuild(Balances())
    commands()
    catch_up()
    assert rows() == {"1": ("Ann@main", 70)}
    rebuild(Balances())
    assert rows() == {"1": ("Ann@main", 70)}


def test_free_handlers_take_them_too_beside_handlers_of_batches():
    class Lines(Projection):
        models = (AuditLine,)

        @on(Account.opened)
        def opened(self, event, owner, branch):
            AuditLine.objects.create(text=f"{event.version}: {owner}", position=event.position)

        @on(Account.deposited, Account.withdrawn)
        def moved(self, event, amount):
            AuditLine.objects.create(text=f"{event.version}: {amount}", position=event.position)

        @on_batch(Account.closed)
        def closed(self, events):
            AuditLine.objects.create(text=f"{len(events)} closed", position=events[0].position)

    commands()
    catch_up()
    lines = [line.text for line in AuditLine.objects.order_by("position")]
    assert lines == ["0: Ann", "0: Bob", "1: 100", "2: 30", "1 closed"]


def test_an_event_from_before_a_field_was_there_comes_with_its_default():
    class Balances(Plan, RowProjection[Balance]): ...

    data = b'{"number": "1", "owner": "Ann"}'
    DjangoEventStore().append("bank.Account/1", -1, [NewEvent("bank.Account.opened", data)])
    catch_up()
    assert rows() == {"1": ("Ann@main", 0)}


def test_an_upcast_event_comes_with_what_the_upcaster_made():
    with isolated_registry() as registry:
        registry.add(Account, Account.type_name)

        @upcast("bank.Account.created")
        def created_is_called_opened(event):
            return event.renamed("bank.Account.opened").with_data(owner="Ann", branch="old")

        class Balances(Plan, RowProjection[Balance]): ...

        data = b'{"number": "1"}'
        DjangoEventStore().append("bank.Account/1", -1, [NewEvent("bank.Account.created", data)])
        catch_up()
        assert current_registry() is registry
    assert rows() == {"1": ("Ann@old", 0)}


def test_a_handler_is_called_once_for_each_key():
    class Balances(RowProjection[Balance]):
        key = "number"

        @on(Account.opened, keys=lambda event: [event.number, f"{event.number}-{event.branch}"])
        def opened(self, row, event, owner, branch):
            row.owner = owner

    Account.open.transact("1", owner="Ann").unwrap()
    catch_up()
    assert rows() == {"1": ("Ann", 0), "1-main": ("Ann", 0)}


def test_what_overrides_a_handler_takes_what_it_wants():
    class Balances(Plan, RowProjection[Balance]):
        def opened(self, row, event):
            row.owner = event.owner

        def withdrawn(self, row, event, amount):
            row.balance -= 2 * amount

    commands()
    catch_up()
    assert rows() == {"1": ("Ann", 40)}


def test_a_failure_names_the_event_and_shows_the_handler():
    class Balances(RowProjection[Balance]):
        key = "number"

        @on(Account.opened)
        def opened(self, row, event, owner, branch):
            raise ValueError(owner)

    (stored,) = Account.open.transact("1", owner="Ann").events
    with pytest.raises(HandlerFailed, match="ValueError: Ann") as caught:
        Balances().apply([stored])
    assert caught.value.event == stored


def test_a_wrong_handler_is_refused_where_its_class_is_made():
    with pytest.raises(DefinitionError) as caught:

        class Balances(RowProjection[Balance]):
            key = "number"

            @on(Account.deposited, Account.opened)
            def happened(self, row, event, amount): ...

    assert str(caught.value).endswith(
        "Balances: the handler happened takes (self, row, event, amount), and is called with the row and the "
        "event. Write: def happened(self, row, event); or, with all fields of bank.Account.opened: "
        "def happened(self, row, event, owner, branch='main')"
    )

    with pytest.raises(DefinitionError, match=r"takes 'row' where the event has 'amount'"):

        class Lines(Projection):
            models = (AuditLine,)

            @on(Account.deposited)
            def happened(self, event, row): ...


class TestModelsInBrackets:
    def test_are_the_projections_model(self):
        class Balances(RowProjection[Balance]):
            key = "number"

            @on(Account.opened)
            def opened(self, row, event): ...

        assert Balances.model is Balance
        assert Balances().models == (Balance,)

    def test_may_be_said_twice(self):
        class Balances(RowProjection[Balance]):
            model = Balance

        assert Balances.model is Balance

    def test_must_not_contradict(self):
        with pytest.raises(DefinitionError) as caught:

            class Balances(RowProjection[Balance]):
                model = AuditLine

        assert str(caught.value).endswith(
            "Balances is a RowProjection[Balance], and says model = AuditLine. Take one of them out."
        )

    def test_may_come_from_a_base(self):
        R = TypeVar("R", bound=models.Model)

        class Base(RowProjection[R]):
            key = "number"

        class Further(Base[R]): ...

        class Mixed(Further[Balance]): ...

        class Other(Mixed): ...

        assert not hasattr(Base, "model")
        assert not hasattr(Further, "model")
        assert Mixed.model is Other.model is Balance

        with pytest.raises(DefinitionError, match="says model = AuditLine"):

            class Wrong(Other):
                model = AuditLine

    def test_an_abstract_model_stands_for_those_that_are_derived_from_it(self):
        class Numbered(models.Model):
            class Meta:
                abstract = True
                app_label = "bank"

        class Base(RowProjection[Numbered]): ...

        assert not hasattr(Base, "model")
        with pytest.raises(DefinitionError, match="says model = Balance"):

            class Wrong(Base):
                model = Balance

    @pytest.mark.parametrize("wrong", ["Balance", int, Balance()])
    def test_what_is_no_model(self, wrong):
        with pytest.raises(DefinitionError, match=r"takes the class of a model"):

            class Balances(RowProjection[wrong]): ...

    def test_a_row_that_is_annotated_as_another_model(self):
        with pytest.raises(DefinitionError) as caught:

            class Balances(RowProjection[Balance]):
                key = "number"

                @on(Account.opened)
                def opened(self, row: AuditLine, event: RecordedEvent) -> None: ...

        assert str(caught.value).endswith(
            "Balances: the handler opened takes a row of AuditLine; its rows are of Balance."
        )


def test_fields_by_name_only():
    with isolated_registry():

        class Parcel(Aggregate, name="post.Parcel"):
            number: str = key()

            @event
            def moved(self, place: str, *, weight: Decimal, note: str = "") -> None: ...

        class Balances(RowProjection[Balance]):
            key = "number"

            @on(Parcel.moved)
            def moved(self, row, event, place, *, weight, **rest):
                row.owner, row.balance = f"{place} {rest}", weight

        (stored,) = commit(Parcel("1").moved("here", weight=Decimal(3))).events
        Balances().apply([stored])
    assert rows() == {"1": ("here {'note': ''}", 3)}
