"""What is loaded, written and kept in memory by a `RowProjection`."""

import gc
import weakref
from contextlib import contextmanager
from datetime import timedelta

import pytest
from django.apps import apps
from django.db import IntegrityError, connection, models, transaction
from django.db.models.signals import post_init
from django.test.utils import CaptureQueriesContext
from django.utils import timezone

from rill_django import DELETE, RowProjection, on
from rill_django.projections.projection import HandlerFailed
from rill_django.projections.rows.buffer import BufferIsBroken
from rill_django.projections.rows.tables import RowsVanished
from rill_django.testing import isolated_projections
from tests.bank.domain import Account
from tests.bank.models import Balance, Branch, Card, Holder, Sample, Seat
from tests.projections.test_rows_batches import event

pytestmark = pytest.mark.django_db

OPENED, DEPOSITED, CLOSED = Account.opened.name, Account.deposited.name, Account.closed.name


def projection_of(of, key_of_rows="number"):
    """A projection whose events carry what to do with the row."""
    with isolated_projections():

        class Doing(RowProjection):
            model = of
            key = key_of_rows

            @on(Account.opened)
            def done(self, row, event):
                return event.do(row)

        return Doing()


def do(number, action=lambda row: None, **fields):
    return event(OPENED, number, do=action, **fields)


def deposit(amount):
    def action(row):
        row.balance += amount
        row.movements += 1

    return action


def delete(row):
    return DELETE


def statements(run):
    with CaptureQueriesContext(
        connection,
    ) as captured:
        run()
    return [one["sql"] for one in captured]


def verbs(run):
    return [sql.split()[0] for sql in statements(run) if not sql.startswith(("SAVE", "RELEASE"))]


def test_two_statements_for_any_number_of_rows_and_events():
    projection = projection_of(Balance)
    events = [do(str(number % 50), deposit(1)) for number in range(200)]
    projection.apply(events)
    sql = statements(lambda: projection.apply(events))
    assert len(sql) == 2
    assert set(Balance.objects.values_list("balance", "movements")) == {(8, 8)}


def test_rows_that_have_not_changed_are_not_written():
    projection = projection_of(Balance)
    projection.apply([do("1", deposit(5)), do("2")])
    back_and_forth = [do("1", deposit(5)), do("1", lambda row: setattr(row, "balance", 5))]
    back_and_forth.append(do("1", lambda row: setattr(row, "movements", 1)))
    assert verbs(lambda: projection.apply([*back_and_forth, do("2")])) == ["SELECT"]
    Balance.objects.filter(number="2").update(owner="Ann")
    projection.apply([do("1", deposit(1)), do("2")])
    assert Balance.objects.get(number="2").owner == "Ann"


def test_a_change_inside_a_json_value_is_noticed():
    projection = projection_of(Sample)
    projection.apply([do("1", lambda row: setattr(row, "data", {"a": [1]}))])
    projection.apply([do("1", lambda row: row.data["a"].append(2))])
    assert Sample.objects.get().data == {"a": [1, 2]}
    assert verbs(
        lambda: projection.apply([do("1", lambda row: row.data["a"].count(1) and None)])
    ) == ["SELECT"]


def test_a_row_does_not_share_a_value_with_an_event():
    payload = {"a": [1]}
    projection = projection_of(Sample)
    projection.apply(
        [
            do("1", lambda row: setattr(row, "data", payload)),
            do("1", lambda row: row.data["a"].append(2)),
        ]
    )
    assert payload == {"a": [1]}
    assert Sample.objects.get().data == {"a": [1, 2]}


def test_deleted_and_made_again_a_row_is_a_new_one():
    projection = projection_of(Holder)
    projection.apply([do("1", lambda row: setattr(row, "alias", "x"))])
    before = Holder.objects.get()
    projection.apply([do("1", delete), do("1"), do("2", delete), do("3"), do("3", delete)])
    after = Holder.objects.get()
    assert (after.number, after.alias) == ("1", None)
    assert after.pk != before.pk


def test_new_rows_are_inserted_in_the_order_of_their_events():
    projection = projection_of(Holder)
    projection.apply([do(number) for number in "31254"])
    assert "".join(Holder.objects.order_by("pk").values_list("number", flat=True)) == "31254"


def test_times_defaults_and_generated_fields():
    projection = projection_of(Holder)
    projection.apply([do("1")])
    row = Holder.objects.get()
    assert (row.level, row.doubled) == (7, 14)
    assert row.made_at <= row.changed_at <= timezone.now()
    old = timezone.now() - timedelta(days=1)
    Holder.objects.update(made_at=old, changed_at=old)

    seen = []

    def raise_level(row):
        row.level += 1
        row.made_at = timezone.now()

    projection.apply([do("1", raise_level), do("1", lambda row: seen.append(row.doubled))])
    row = Holder.objects.get()
    assert (row.level, row.doubled, seen) == (8, 16, [16])
    assert row.made_at == old
    assert row.changed_at > old
    Holder.objects.update(changed_at=old)
    projection.apply([do("1", lambda row: setattr(row, "level", 8))])
    assert Holder.objects.get().changed_at == old


def test_a_foreign_key_to_a_row_that_is_not_there_yet():
    projection = projection_of(Card)
    projection.apply([do("1", lambda row: setattr(row, "account_id", "a"))])
    account = Balance.objects.create(number="b", owner="Ann")

    def moves(row):
        row.account = account
        assert row.account.owner == "Ann"

    seen = []
    projection.apply([do("1", moves), do("1", lambda row: seen.append(row._state.fields_cache))])
    assert seen == [{}]
    assert Card.objects.get().account == account


def test_a_key_with_a_foreign_key_and_a_composite_primary_key():
    for key in (("card", "row"), ("card_id", "row"), lambda event: (event.card_id, event.row)):
        projection = projection_of(Seat, staticmethod(key) if callable(key) else key)

        def takes(row):
            row.taken += 1

        for _ in range(2):
            projection.apply(
                [do("", takes, card="c", card_id="c", row=str(number)) for number in range(3)]
            )
    assert list(Seat.objects.order_by("row").values_list("card_id", "row", "taken")) == [
        ("c", 0, 6),
        ("c", 1, 6),
        ("c", 2, 6),
    ]
    projection.apply([do("", delete, card="c", card_id="c", row=1)])
    assert Seat.objects.count() == 2


def test_two_rows_swap_a_unique_value():
    projection = projection_of(Sample)

    def code(value):
        return lambda row: setattr(row, "code", value)

    projection.apply([do("a", code(1)), do("b", code(2))])
    projection.apply([do("a", code(3)), do("b", code(1)), do("a", code(2))])
    assert dict(Sample.objects.values_list("number", "code")) == {"a": 2, "b": 1}
    with pytest.raises(IntegrityError), transaction.atomic():
        projection.apply([do("a", code(1)), do("b", code(2))])


def test_a_model_that_is_watched_is_made_in_the_ordinary_way():
    made = []

    def note(instance, **_):
        made.append(instance.number)

    post_init.connect(note, sender=Balance)
    try:
        projection = projection_of(Balance)
        projection.apply([do("1", deposit(1))])
        projection.apply([do("1", deposit(1))])
    finally:
        post_init.disconnect(note, sender=Balance)
    assert "1" in made
    assert Balance.objects.get().balance == 2


def test_what_is_done_to_an_instance_when_it_is_made_is_done_for_every_event():
    def remember(instance, **_):
        instance.balance_before = instance.balance

    def count(row):
        assert row.balance == row.balance_before
        assert not hasattr(row, "_note")
        row.balance += 1
        row._note = "forgotten"

    post_init.connect(remember, sender=Balance)
    try:
        projection = projection_of(Balance)
        projection.apply(
            [do("1", count), do("1", count), do("1", lambda row: None), do("1", count)]
        )
        projection.apply([do("1", count)])
    finally:
        post_init.disconnect(remember, sender=Balance)
    assert Balance.objects.get().balance == 4


def test_a_handler_must_not_give_its_row_another_key():
    balances = projection_of(Balance)
    for before in ([], [do("1")]):
        with pytest.raises(HandlerFailed, match=r"changed number of the row '1'.*Delete it"):
            balances.apply([*before, do("1", lambda row: setattr(row, "number", "2"))])
    holders = projection_of(Holder)
    refused = pytest.raises(HandlerFailed, match="changed id, number of the row '1'")
    with refused, transaction.atomic():
        holders.apply([do("1"), do("1", lambda row: setattr(row, "id", 7))])
    # A new row may be given its primary key, and any row the key that it has.
    holders.apply([do("22", lambda row: setattr(row, "id", 7))])
    holders.apply([do("22", lambda row: setattr(row, "number", "".join(["2", "2"])))])
    assert list(Holder.objects.values_list("id", "number")) == [(7, "22")]


def test_a_handler_must_not_delete_an_attribute():
    projection = projection_of(Balance)
    with pytest.raises(HandlerFailed, match="KeyError: 'owner'"):
        projection.apply([do("1", lambda row: delattr(row, "owner"))])


def test_of_a_row_that_comes_and_goes_only_the_end_is_written():
    projection = projection_of(Balance)
    assert verbs(lambda: projection.apply([do("1"), do("1", delete)])) == ["SELECT"]
    ups_and_downs = [do("1"), do("1", delete), do("1", deposit(5)), do("2"), do("2", delete)]
    projection.apply([*ups_and_downs, do("1", delete), do("1", deposit(3))])
    assert list(Balance.objects.values_list("number", "balance")) == [("1", 3)]
    projection.apply([do("1", delete), do("1", deposit(2)), do("1", delete), do("1", deposit(1))])
    assert list(Balance.objects.values_list("number", "balance")) == [("1", 1)]


class TestSession:
    def test_rows_stay_in_memory(self):
        projection = projection_of(Balance)
        session = projection.session()
        session.apply([do("1", deposit(1)), do("2", deposit(1))])
        session.flush()
        assert statements(lambda: session.apply([do("1", deposit(1))])) == []
        assert len(session) == 2
        assert len(statements(session.flush)) == 1
        assert verbs(session.flush) == []
        assert Balance.objects.get(number="1").balance == 2

    def test_nothing_is_looked_for_in_an_empty_table(self):
        session = projection_of(Balance).session(is_empty=True)
        assert statements(lambda: session.apply([do("1", deposit(1)), do("2")])) == []
        session.flush()
        assert Balance.objects.count() == 2

    def test_beyond_the_bound_rows_are_written_and_forgotten(self):
        session = projection_of(Branch, ("branch", "owner")).session(is_empty=True, max_rows=10)

        def count(row):
            row.accounts += 1

        for first in (0, 8, 4, 0):
            session.apply(
                [do("", count, branch="b", owner=str(one)) for one in range(first, first + 8)]
            )
            assert len(session) <= 10
        session.flush()
        found = {int(row.owner): row.accounts for row in Branch.objects.all()}
        assert found == {one: (2 if one < 8 else 1) + (4 <= one < 12) for one in range(16)}

    def test_after_an_error_it_is_of_no_use(self):
        session = projection_of(Balance).session()
        with pytest.raises(Exception, match="division"):
            session.apply([do("1", deposit(1)), do("1", lambda row: 1 / 0)])
        for use in (session.flush, lambda: session.apply([])):
            with pytest.raises(BufferIsBroken, match="Begin a new session"):
                use()

    @pytest.mark.skipif("connection.vendor != 'postgresql'", reason="others write them anew")
    def test_rows_that_somebody_else_deletes_are_missed(self):
        session = projection_of(Balance).session()
        session.apply([do("1", deposit(1))])
        session.flush()
        Balance.objects.all().delete()
        session.apply([do("1", deposit(1))])
        with pytest.raises(RowsVanished, match=r"1 rows of bank\.Balance"):
            session.flush()


@pytest.mark.skipif("connection.vendor != 'postgresql'", reason="about PostgreSQL")
def test_tables_are_found_by_the_search_path():
    projection = projection_of(Branch, ("branch", "owner"))

    def count(row):
        row.accounts += 1

    projection.apply([do("", count, branch="b", owner="x")])
    with connection.cursor() as cursor:
        cursor.execute("CREATE SCHEMA beside")
        cursor.execute("CREATE TABLE beside.bank_branch (LIKE public.bank_branch INCLUDING ALL)")
        cursor.execute("SET LOCAL search_path TO beside, public")
        projection.apply(
            [do("", count, branch="b", owner="y"), do("", delete, branch="b", owner="x")]
        )
        projection.apply([do("", count, branch="b", owner="y")])
        assert list(Branch.objects.values_list("owner", "accounts")) == [("y", 2)]
        cursor.execute("SET LOCAL search_path TO public")
    assert list(Branch.objects.values_list("owner", "accounts")) == [("x", 1)]


def test_an_error_that_is_noted_on_a_row_keeps_no_rows_in_memory():
    def fail(row):
        try:
            raise ValueError("cannot")
        except ValueError as error:
            row.error = error
            raise

    session = projection_of(Balance).session()
    gone = weakref.ref(session)
    with pytest.raises(HandlerFailed):
        session.apply([do("1"), do("1", fail)])
    del session
    gc.collect()
    assert gone() is None


class OwnFloat(models.FloatField):
    """A kind of field that nobody knows."""


class Padded(models.CharField):
    """Of a fixed length."""

    def db_type(self, connection):
        return f"char({self.max_length})"


@contextmanager
def table_of(name, **fields):
    """A model with its table."""
    made = type(name, (models.Model,), {"__module__": "tests.bank.models", **fields})
    with connection.schema_editor() as editor:
        editor.create_model(made)
    try:
        yield made
    finally:
        with connection.schema_editor() as editor:
            editor.delete_model(made)
        apps.all_models["bank"].pop(name.lower())
        apps.clear_cache()


@pytest.mark.django_db(transaction=True)
@pytest.mark.skipif("connection.vendor != 'postgresql'", reason="others do not take a NaN")
def test_a_nan_of_an_unknown_kind_has_not_changed():
    number = models.CharField(max_length=5, primary_key=True)
    changed_at = models.DateTimeField(auto_now=True)
    with table_of("Odd", number=number, real=OwnFloat(null=True), changed_at=changed_at) as odd:
        projection = projection_of(odd)
        projection.apply([do("1", lambda row: setattr(row, "real", float("nan")))])
        assert verbs(lambda: projection.apply([do("1")])) == ["SELECT"]


@pytest.mark.django_db(transaction=True)
def test_a_key_of_a_fixed_length():
    number, count = Padded(max_length=10, primary_key=True), models.IntegerField(default=0)
    with table_of("Fixed", number=number, count=count) as fixed:
        projection = projection_of(fixed)
        for _ in range(2):
            projection.apply([do("abcdefghij", lambda row: setattr(row, "count", row.count + 1))])
        assert list(fixed.objects.values_list()) == [("abcdefghij", 2)]
