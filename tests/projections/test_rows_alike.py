"""Keys that the database takes for equal, and Python for different."""

import pytest
from django.core.checks import run_checks
from django.db import DatabaseError, connection, models, transaction
from django.test.utils import isolate_apps

from rill_django import PARK, RowProjection, on
from rill_django.models import Checkpoint, ParkedEvent
from rill_django.projections.projection import HandlerFailed
from rill_django.projections.rebuild import rebuild
from rill_django.projections.rows.alike import (
    KeysAlike,
    alike_among,
    byte_wise_collation,
    texts_taken_for_equal,
)
from rill_django.projections.worker import ProjectionStopped, ProjectionWorker, catch_up
from rill_django.testing import isolated_projections
from tests.bank.domain import Account
from tests.bank.models import Balance, Branch, Card, Sample

pytestmark = pytest.mark.django_db

BLIND = {
    "mysql": "utf8mb4_general_ci",
    "postgresql": "bank_blind",
    "sqlite": "NOCASE",
}[connection.vendor]


@pytest.fixture(autouse=True)
def alone():
    with isolated_projections():
        yield


@pytest.fixture
def blind():
    """Have the keys of balances compared without regard to letter case, as MySQL does by itself."""
    with connection.cursor() as cursor:
        if connection.vendor == "postgresql":
            make_blind_collation(cursor)
            cursor.execute(
                "SELECT indexname FROM pg_indexes WHERE tablename = 'bank_balance' "
                "AND indexdef LIKE '%%pattern_ops%%'"
            )
            for (name,) in cursor.fetchall():
                cursor.execute(f'DROP INDEX "{name}"')
            cursor.execute(
                f"ALTER TABLE bank_balance ALTER number TYPE varchar(30) COLLATE {BLIND}"
            )
        if connection.vendor == "sqlite":
            cursor.execute("DROP TABLE bank_balance")
            cursor.execute(
                "CREATE TABLE bank_balance (number varchar(30) NOT NULL COLLATE NOCASE PRIMARY KEY, "
                "owner varchar(100) NOT NULL, balance decimal NOT NULL, movements integer NOT NULL)"
            )


def make_blind_collation(cursor):
    try:
        with transaction.atomic():
            cursor.execute(
                f"CREATE COLLATION {BLIND} "
                "(provider = icu, locale = 'und-u-ks-level2', deterministic = false)"
            )
    except DatabaseError as error:
        pytest.skip(f"This server has no such collations: {error}")


def balances(**attributes):
    class Balances(RowProjection):
        model = Balance
        key = attributes.get("key", "number")
        on_error = attributes.get("on_error", RowProjection.on_error)
        inline = attributes.get("inline", False)

        @on(Account.opened)
        def opened(self, row, event):
            row.owner = event.owner

        @on(Account.deposited)
        def deposited(self, row, event):
            row.balance += event.amount

    return Balances()


def history():
    for number in ("other", "ann", "Ann", "more"):
        Account.open.transact(number, owner=number).unwrap()
    Account.deposit.transact("ann", amount=1).unwrap()
    Account.deposit.transact("Ann", amount=1).unwrap()
    Account.deposit.transact("more", amount=1).unwrap()


def found():
    return dict(Balance.objects.values_list("number", "balance"))


@pytest.mark.parametrize("batch_size", [1, 2, 100])
def test_the_second_key_stops_the_projection_and_says_why(blind, batch_size):
    balances()
    history()
    worker = ProjectionWorker(batch_size=batch_size)
    worker.run_until_caught_up()
    (why,) = worker.stopped.values()
    assert "bank.Account/Ann@0" in why
    assert "takes the keys 'Ann' and 'ann' of bank.Balance (number) for equal" in why
    assert f'db_collation="{byte_wise_collation(connection)}"' in why
    assert "key function" in why
    assert Checkpoint.objects.get().failed_event == "bank.Account/Ann@0"
    assert found() == {"other": 0, "ann": 0}


def test_or_is_parked_with_what_is_about_it(blind):
    balances(on_error=PARK)
    history()
    catch_up()
    events = ParkedEvent.objects.order_by("position").values_list("event", flat=True)
    assert list(events) == ["bank.Account/Ann@0", "bank.Account/Ann@1"]
    assert "KeysAlike" in ParkedEvent.objects.order_by("position")[0].error
    assert found() == {"other": 0, "ann": 1, "more": 1}


def test_a_rebuild_says_so_too(blind):
    projection = balances()
    history()
    with pytest.raises((KeysAlike, HandlerFailed), match=r"'ann' and 'Ann'.*for equal"):
        rebuild(projection, in_place=True)


def test_keys_in_one_form_are_the_cure(blind):
    balances(key=lambda event: event.number.lower())
    history()
    catch_up()
    assert found() == {"other": 0, "ann": 2, "more": 1}


@pytest.mark.skipif("connection.vendor == 'mysql'", reason="It compares so by default")
def test_elsewhere_both_have_a_row():
    balances()
    history()
    catch_up()
    assert found() == {"other": 0, "ann": 1, "Ann": 1, "more": 1}


def test_other_violations_are_not_taken_for_it(blind):
    class Codes(RowProjection):
        model = Sample
        key = "number"

        @on(Account.opened)
        def opened(self, row, event):
            row.code = 7

    for number in ("a", "b"):
        Account.open.transact(number, owner="x").unwrap()
    with pytest.raises(ProjectionStopped, match=r"(?i)unique|duplicate"):
        catch_up()


def keys_checked():
    messages = run_checks(databases=["default"])
    return [one for one in messages if one.id == "rill.W007"]


def test_a_check_asks_the_database(blind):
    balances()

    class Branches(RowProjection):
        model = Branch
        key = ("branch", "owner")

        @on(Account.opened)
        def opened(self, row, event): ...

    class Cards(RowProjection):
        model = Card
        key = lambda event: event.number  # noqa: E731

        @on(Account.opened)
        def opened(self, row, event): ...

    warned = keys_checked()
    about_balances = warned[0]
    assert "bank.Balance.number is part of the key" in about_balances.msg
    assert "'a' and 'A'" in about_balances.msg
    assert byte_wise_collation(connection) in about_balances.hint
    fields = [str(one).split(" is part")[0].rpartition(" ")[2] for one in warned]
    if connection.vendor == "mysql":
        fields_expected = ["Balance.number", "Branch.branch", "Branch.owner", "Card.number"]
        assert fields == [f"bank.{name}" for name in fields_expected]
    else:
        assert fields == ["bank.Balance.number"]
    assert [one for one in run_checks() if one.id == "rill.W007"] == []  # Nobody asked for it.


def collations():
    return {
        "mysql": [
            (BLIND, ["A", "a ", "á"]),
            ("utf8mb4_bin", ["a "]),
            ("utf8mb4_nopad_bin", []),
            ("ascii_bin", ["a "]),
            ("latin1_swedish_ci", ["A", "a ", "á"]),
        ],
        "postgresql": [(BLIND, ["A"]), ('"C"', []), ('"und-x-icu"', [])],
        "sqlite": [(BLIND, ["A"]), ("RTRIM", ["a "]), ("BINARY", [])],
    }[connection.vendor]


@pytest.mark.parametrize(("collation", "expected"), collations())
def test_what_a_column_takes_for_equal(collation, expected):
    if collation.startswith("utf8mb4_nopad") and not getattr(connection, "mysql_is_mariadb", True):
        pytest.skip("MySQL calls it utf8mb4_0900_bin")
    characters = collation.partition("_")[0] if connection.vendor == "mysql" else ""
    with isolate_apps("tests.bank"), connection.cursor() as cursor:
        if collation == "bank_blind":
            make_blind_collation(cursor)
        character_set = f"CHARACTER SET {characters} " if characters else ""
        cursor.execute(
            f"CREATE TEMPORARY TABLE bank_probe (text varchar(20) {character_set}COLLATE {collation})"
        )

        class Probe(models.Model):
            text = models.CharField(max_length=20, primary_key=True)

            class Meta:
                app_label = "bank"

            def __str__(self):
                return self.text

        assert list(texts_taken_for_equal(connection, Probe._meta.pk)) == expected
        cursor.execute("DROP TABLE bank_probe")
        assert list(texts_taken_for_equal(connection, Probe._meta.pk)) == []


def test_which_keys_are_alike():
    assert alike_among([("a", 1), ("A", 2), ("b", 1), ("B ", 1)]) == [("b", 1), ("B ", 1)]
    assert alike_among([("Zoë",), ("zoe",)]) == [("Zoë",), ("zoe",)]
    assert alike_among([("a",), ("a",), (1,), (True,)]) == []
