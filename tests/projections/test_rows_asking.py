"""Rows are looked for without a filter; who looks at others finds them as the events before left them."""

import pytest
from django.db import DatabaseError, IntegrityError, connection, transaction
from django.db.models import F, Sum
from django.test.utils import CaptureQueriesContext

from rill_django import DELETE, RowProjection, on
from rill_django.projections.projection import HandlerFailed
from rill_django.projections.rebuild import rebuild, verify
from rill_django.projections.worker import ProjectionWorker, catch_up
from rill_django.testing import isolated_projections
from tests.bank.domain import Account
from tests.bank.models import Balance, Branch, BusyBranch, Holder, Parcel
from tests.projections.test_rows_batches import event
from tests.projections.test_rows_buffer import do, projection_of

pytestmark = pytest.mark.django_db(transaction=True)

OPENED, DEPOSITED = Account.opened.name, Account.deposited.name


@pytest.fixture(autouse=True)
def alone():
    with isolated_projections():
        yield


def parcels():
    class Parcels(RowProjection):
        model = Parcel
        key = "number"

        @on(Account.opened)
        def opened(self, row, event):
            row.state = event.owner

        @on(Account.deposited)
        def deposited(self, row, event):
            row.weight += int(event.amount)

        @on(Account.closed)
        def closed(self, row, event):
            return DELETE

    return Parcels()


def all_parcels():
    with connection.cursor() as cursor:
        cursor.execute("SELECT number, state, weight FROM bank_parcel ORDER BY number")
        return [tuple(row) for row in cursor.fetchall()]


@pytest.mark.parametrize("batch_size", [1, 2, 100])
def test_rows_that_managers_hide_are_rows_all_the_same(batch_size):
    projection = parcels()
    for number in ("1", "2", "3"):
        Account.open.transact(number, owner="lost").unwrap()
        Account.deposit.transact(number, amount=5).unwrap()
    Account.withdraw.transact("3", amount=5).unwrap()
    Account.close.transact("3").unwrap()
    ProjectionWorker(batch_size=batch_size).run_until_caught_up()
    expected = [("1", "lost", 5), ("2", "lost", 5)]
    assert all_parcels() == expected
    assert not Parcel.objects.exists()
    assert not Parcel._base_manager.exists()
    (table,) = verify(projection, batch_size=batch_size).tables
    assert table.is_equal
    rebuild(projection, batch_size=batch_size)
    assert all_parcels() == expected
    rebuild(projection, in_place=True)
    assert all_parcels() == expected
    with connection.cursor() as cursor:
        cursor.execute("UPDATE bank_parcel SET weight = 7 WHERE number = '1'")
        cursor.execute("INSERT INTO bank_parcel (number, state, weight) VALUES ('9', 'lost', 0)")
    (table,) = verify(projection).tables
    assert (table.different, table.extra, table.missing) == (1, 1, 0)
    rebuild(projection)
    assert all_parcels() == expected
    projection.clear()
    assert all_parcels() == []


def test_also_rows_of_a_proxy():
    class Branches(RowProjection):
        model = BusyBranch
        key = ("branch", "owner")

        @on(Account.opened)
        def opened(self, row, event):
            row.accounts += 1

    for number in range(3):
        Account.open.transact(str(number), owner="Ann").unwrap()
        catch_up()
    assert Branch.objects.get().accounts == 3
    assert verify(Branches()).is_equal
    rebuild(Branches())
    assert Branch.objects.get().accounts == 3


def test_also_those_of_inline_projections():
    type(parcels()).inline = True
    rebuild(parcels_again())
    Account.open.transact("1", owner="lost").unwrap()
    Account.deposit.transact("1", amount=5).unwrap()
    Account.deposit.transact("1", amount=5).unwrap()
    assert all_parcels() == [("1", "lost", 10)]


def parcels_again():
    from rill_django.projections.registry import current_projections

    (projection,) = current_projections().named()
    return projection


def in_batches(make, events, size):
    """Apply events in batches, with rows kept in memory between them as a worker does."""
    session = make().session()
    for start in range(0, len(events), size):
        with transaction.atomic():
            session.apply(events[start : start + size])
            session.flush()


def ranks():
    """A row for each account, which looks at all others in every way."""
    with isolated_projections():

        class Ranks(RowProjection):
            model = Balance
            key = "number"

            @on(Account.opened)
            def opened(self, row, event):
                row.movements = Balance.objects.count()

            @on(Account.deposited)
            def deposited(self, row, event):
                row.balance += event.amount
                total = Balance.objects.aggregate(total=Sum("balance"))["total"]
                row.owner = f"{row.owner}{total or 0:.0f} "

            @on(Account.withdrawn)
            def withdrawn(self, row, event):
                other = Balance.objects.using("default").filter(owner=event.of).first()
                row.owner = f"after {other.number if other else 'nobody'}"

            @on(Account.closed)
            def closed(self, row, event):
                return DELETE if Balance.objects.count() > 2 else None

        return Ranks()


@pytest.mark.parametrize("size", [1, 2, 3, 100])
def test_a_handler_that_looks_at_other_rows(size):
    withdrawn, closed = Account.withdrawn.name, Account.closed.name
    events = [
        event(OPENED, "1"),
        event(OPENED, "2"),
        event(DEPOSITED, "1", amount=3),
        event(DEPOSITED, "2", amount=4),
        event(DEPOSITED, "1", amount=5),
        event(OPENED, "3"),
        event(closed, "3"),
        event(closed, "2"),
        event(withdrawn, "2", of="0 7 "),
        event(OPENED, "3"),
    ]
    in_batches(ranks, events, size)
    found = Balance.objects.order_by("number").values_list(
        "number", "owner", "balance", "movements"
    )
    assert list(found) == [("1", "0 7 ", 8, 0), ("2", "after 1", 4, 1), ("3", "", 0, 2)]


@pytest.mark.parametrize("size", [1, 2, 100])
def test_a_key_function_that_looks_at_rows(size):
    def made():
        def last(event):
            return {"number": Balance.objects.order_by("-number")[0].number}

        with isolated_projections():

            class Last(RowProjection):
                model = Balance
                key = "number"

                @on(Account.opened)
                def opened(self, row, event):
                    row.owner = event.owner

                @on(Account.deposited, key=last)
                def deposited(self, row, event):
                    row.balance += 1

            return Last()

    numbers = ["1", None, None, "2", None, "4", None, "3", None]
    events = [
        event(OPENED, number, owner="Ann") if number else event(DEPOSITED, "x")
        for number in numbers
    ]
    in_batches(made, events, size)
    found = dict(Balance.objects.values_list("number", "balance"))
    assert found == {"1": 2, "2": 1, "3": 0, "4": 2}


def test_a_key_function_that_fails_names_its_event():
    def missing(event):
        return Balance.objects.get(number="none").number

    class Missing(RowProjection):
        model = Balance
        key = "number"

        @on(Account.opened)
        def opened(self, row, event): ...

        @on(Account.deposited, key=missing)
        def deposited(self, row, event): ...

    events = [event(OPENED, "1"), event(DEPOSITED, "2"), event(OPENED, "3")]
    with pytest.raises(HandlerFailed, match="Account/2@0") as caught:
        Missing().apply(events)
    assert isinstance(caught.value.__cause__, Balance.DoesNotExist)


def test_rows_with_automatic_keys_and_generated_fields():
    def look(row):
        row.level += 1
        row.alias = f"{Holder.objects.count()} {row.doubled if row.pk else ''}"

    events = [do("1", look), do("1", look), do("2", look), do("1", look)]
    in_batches(lambda: projection_of(Holder), events, 100)
    found = Holder.objects.order_by("number").values_list("number", "alias", "level", "doubled")
    assert list(found) == [("1", "2 18", 10, 20), ("2", "1 ", 8, 16)]


def test_what_a_handler_rolls_back_is_its_own():
    def try_and_fail(row):
        row.movements = Balance.objects.count()
        with transaction.atomic():
            Balance.objects.create(number="x")
            transaction.set_rollback(True)

    projection = projection_of(Balance)
    projection.apply([do("1"), do("2", try_and_fail), do("3", try_and_fail)])
    found = dict(Balance.objects.values_list("number", "movements"))
    assert found == {"1": 0, "2": 1, "3": 2}


@pytest.mark.parametrize("size", [1, 2, 100])
@pytest.mark.parametrize("is_empty", [True, False])
def test_rows_that_a_handler_changes_past_its_projection(size, is_empty):
    def others(row):
        Balance.objects.exclude(number=row.number).update(movements=F("movements") + 1)
        row.movements += 10

    def make_another(row):
        Balance.objects.create(number=f"{row.number}+", movements=100)

    def one_less(row):
        Balance.objects.filter(number="1+").delete()

    events = [
        do("1"),
        do("2", others),
        do("1", others),
        do("1", make_another),
        do("1+", others),
        do("3"),
        do("2", others),
        do("3", one_less),
        do("1+", others),
        do("1"),
    ]
    projection = projection_of(Balance)
    session = projection.session(is_empty=is_empty)
    for start in range(0, len(events), size):
        with transaction.atomic():
            session.apply(events[start : start + size])
            session.flush()
    found = dict(Balance.objects.values_list("number", "movements"))
    assert found == {"1": 14, "2": 23, "1+": 10, "3": 2}


def test_an_error_of_rows_before_is_not_for_the_handler_to_catch():
    def look(row):
        try:
            Balance.objects.count()
        except DatabaseError:
            row.owner = "all is well"

    projection = projection_of(Balance)
    too_long = do("1", lambda row: setattr(row, "movements", None))
    with pytest.raises(HandlerFailed) as caught, transaction.atomic():
        projection.apply([too_long, do("2", look)])
    assert isinstance(caught.value.__cause__, IntegrityError)
    assert not Balance.objects.exists()


def test_nothing_is_written_early_where_nobody_asks():
    projection = projection_of(Balance)
    with CaptureQueriesContext(connection) as captured:
        projection.apply([do(str(number % 5)) for number in range(50)])
    kinds = [one["sql"].split()[0] for one in captured]
    assert kinds.count("SELECT") == 1
    assert kinds.count("INSERT") + kinds.count("COPY") <= 1


def test_workers_find_the_same():
    class Counting(RowProjection):
        model = Balance
        key = "number"

        @on(Account.opened)
        def opened(self, row, event):
            row.movements = Balance.objects.count()

    for number in range(5):
        Account.open.transact(str(number), owner="Ann").unwrap()
    catch_up()
    expected = [(str(number), number) for number in range(5)]
    assert list(Balance.objects.order_by("pk").values_list("number", "movements")) == expected
    assert verify(Counting()).is_equal
