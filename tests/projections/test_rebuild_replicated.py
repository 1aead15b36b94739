"""Rebuilding where somebody is told of every change: of what differs, and of nothing that is beside."""

import re

import pytest
from django.conf import settings
from django.db import OperationalError, connection, transaction

from rill_django import RowProjection, on
from rill_django.projections.rebuild import (
    NewVersion,
    RowsBesideLost,
    rebuild,
    verify,
)
from rill_django.projections.rebuilding.dialects import place_for
from rill_django.projections.rebuilding.steps import Rebuild
from rill_django.projections.worker import catch_up
from rill_django.testing import isolated_projections
from tests.bank.domain import Account
from tests.bank.models import Balance, Holder
from tests.projections.rebuilds import append_history, contents, customers_projection, named

pytestmark = [
    pytest.mark.django_db(transaction=True),
    pytest.mark.skipif(
        settings.DATABASES["default"]["ENGINE"] != "django.db.backends.postgresql",
        reason="Only PostgreSQL tells others of each row",
    ),
    # It is said when something is published that nobody could be sent.
    pytest.mark.filterwarnings("ignore:.*wal_level"),
]

PUBLICATIONS = {
    "all tables": "FOR ALL TABLES",
    "schema": "FOR TABLES IN SCHEMA public",
    "table": "FOR TABLE bank_balance, bank_customer, bank_holding",
    "inserts": "FOR ALL TABLES WITH (publish = 'insert')",
    "some rows": "FOR TABLE bank_balance WHERE (number <> '5'), bank_customer, bank_holding",
    "some columns": "FOR TABLE bank_balance (number, owner), bank_customer, bank_holding",
}


def sql(*statements):
    with connection.cursor() as cursor:
        for statement in statements:
            cursor.execute(statement)
        return cursor.fetchall() if cursor.description else None


@pytest.fixture(params=PUBLICATIONS)
def published(request, db):
    if request.param in ("schema", "some rows", "some columns") and connection.pg_version < 150_000:
        pytest.skip("PostgreSQL 15 is the first that publishes schemas, and parts of tables")
    sql(f"CREATE PUBLICATION rill_test {PUBLICATIONS[request.param]}")
    yield
    sql("DROP PUBLICATION rill_test")


@pytest.fixture
def history():
    append_history(12, 5)
    catch_up("bank.Balances")
    return contents()


def tables():
    return sql(
        "SELECT oid, relname FROM pg_class WHERE relname LIKE 'bank%' AND relkind = 'r' ORDER BY oid"
    )


def told_of():
    """The tables beside of which somebody is told."""
    return sql("SELECT schemaname FROM pg_publication_tables WHERE schemaname LIKE 'rill%'")


def beside():
    return sql("SELECT nspname FROM pg_namespace WHERE nspname LIKE 'rill%'")


def untouched(name="bank_balance"):
    """The rows as they are stored: another version of a row has another place."""
    return set(sql(f"SELECT ctid::text, xmin::text, t::text FROM {name} t"))


def test_a_rebuild_changes_what_differs(published, history):
    before = tables()
    sql(
        "UPDATE bank_balance SET balance = 999 WHERE number = '3'",
        "DELETE FROM bank_balance WHERE number = '4'",
        "INSERT INTO bank_balance (number, owner, balance, movements) VALUES ('x', 'thief', 1, 1)",
    )
    stored = untouched()
    seen = []

    def look(*step):
        seen.extend(told_of())

    rebuild(named("bank.Balances"), batch_size=10, progress=look)
    assert contents() == history
    assert (seen, tables(), beside()) == ([], before, [])
    assert len(stored & untouched()) == 10


def test_verifying(published, history):
    Balance.objects.filter(number="3").update(balance=999)
    stored, seen = untouched(), []
    found = verify(named("bank.Balances"), progress=lambda *step: seen.extend(told_of()))
    assert not found.is_equal
    assert [one.key["number"] for one in found.tables[0].first] == ["3"]
    assert (seen, beside(), untouched()) == ([], [], stored)


def test_a_new_version(published, history, monkeypatch):
    projection = named("bank.Balances")
    monkeypatch.setattr(type(projection), "version", 2)
    Balance.objects.filter(number="3").update(balance=999)
    before, seen = tables(), []
    steps = NewVersion(projection, batch_size=10)
    while steps.step():
        seen.extend(told_of())
    assert contents() == history
    assert (seen, tables(), beside()) == ([], before, [])


def test_tables_that_refer_to_each_other(published):
    with isolated_projections():
        projection = customers_projection()
        append_history(10, 2)
        catch_up(projection.name)
        before = contents()
        ((highest,),) = sql("SELECT max(id) FROM bank_customer")
        sql("UPDATE bank_customer SET accounts = 50", "DELETE FROM bank_holding WHERE number = '3'")
        rebuild(projection)
        assert contents() == before
        assert verify(projection).is_equal
        # Automatic keys go on above all that there ever were.
        ((following,),) = sql("SELECT nextval(pg_get_serial_sequence('bank_customer', 'id'))")
        assert following == highest + 1


def test_keys_that_are_checked_at_once(history):
    with isolated_projections():
        projection = customers_projection()
        append_history(10, 2, first=100)
        catch_up(projection.name)
        before = contents()
        (name,) = sql(
            "SELECT conname FROM pg_constraint WHERE conrelid = 'bank_holding'::regclass AND contype = 'f'"
        )[0]
        sql(
            f'ALTER TABLE bank_holding ALTER CONSTRAINT "{name}" NOT DEFERRABLE',
            "CREATE PUBLICATION rill_test FOR ALL TABLES",
        )
        try:
            sql("UPDATE bank_customer SET accounts = 50")
            rebuild(projection)
            assert contents() == before
        finally:
            sql(
                f'ALTER TABLE bank_holding ALTER CONSTRAINT "{name}" DEFERRABLE INITIALLY DEFERRED',
                "DROP PUBLICATION rill_test",
            )


def test_unique_values_that_wander_and_columns_that_are_made(published):
    """The owner's name is unique, and a column is generated from another one."""
    with isolated_projections():

        class Holders(RowProjection):
            model = Holder
            key = "number"

            @on(Account.opened)
            def opened(self, row, event):
                row.group, row.alias = "all", event.number

        append_history(3, 0)
        catch_up(Holders.name)
        before = sql("SELECT number, alias, doubled FROM bank_holder ORDER BY number")
        sql(
            "UPDATE bank_holder SET alias = 'x' WHERE number = '0'",
            "UPDATE bank_holder SET alias = '0' WHERE number = '1'",
            "UPDATE bank_holder SET alias = '1' WHERE number = '0'",
        )
        rebuild(Holders())
        assert sql("SELECT number, alias, doubled FROM bank_holder ORDER BY number") == before


def test_triggers_of_the_live_table_act_once(published, history):
    sql(
        "CREATE TABLE rill_test_seen (number text)",
        "CREATE FUNCTION rill_test_note() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN "
        "INSERT INTO public.rill_test_seen VALUES (NEW.number); RETURN NEW; END $$",
        "CREATE TRIGGER noted AFTER INSERT ON bank_balance FOR EACH ROW EXECUTE FUNCTION rill_test_note()",
        "DELETE FROM bank_balance WHERE number = '4'",
    )
    try:
        rebuild(named("bank.Balances"))
        assert sql("SELECT number FROM rill_test_seen") == [("4",)]
    finally:
        sql(
            "DROP TRIGGER noted ON bank_balance",
            "DROP FUNCTION rill_test_note",
            "DROP TABLE rill_test_seen",
        )


def begun(size=10):
    return Rebuild(place_for(named("bank.Balances"), "beside"), batch_size=size)


def test_interrupted_it_goes_on(published, history):
    Balance.objects.filter(number="3").update(balance=999)
    with begun() as steps:
        steps.step()
        steps.close()
    with begun() as steps:
        assert steps.resumed_at == 10
        steps.run()
    assert contents() == history


def test_after_a_crash_of_the_server_it_begins_anew(published, history):
    """It empties unlogged tables, all at the same moment."""
    with begun() as steps:
        steps.step()
        steps.close()
    ((schema,),) = beside()
    sql(f"TRUNCATE {schema}.bank_balance, {schema}.rill_django_begun")
    with begun() as steps:
        assert steps.resumed_at == 0
        steps.step()
        sql(f"TRUNCATE {schema}.bank_balance, {schema}.rill_django_begun")
        with pytest.raises(RowsBesideLost):
            steps.step()
    assert contents() == history


def test_who_is_told_from_now_on_is_not_told_of_the_rows_beside(history):
    with begun() as steps:
        steps.step()
        steps.close()
    with begun() as steps:
        assert steps.resumed_at == 10
        sql("CREATE PUBLICATION rill_test FOR ALL TABLES")
        try:
            with pytest.raises(RowsBesideLost, match="somebody is told"):
                steps.run()
            steps.abandon()
            rebuild(named("bank.Balances"))
            assert (contents(), beside()) == (history, [])
        finally:
            sql("DROP PUBLICATION rill_test")


def test_who_is_told_no_more(history):
    sql("CREATE PUBLICATION rill_test FOR ALL TABLES")
    with begun() as steps:
        steps.step()
        sql("DROP PUBLICATION rill_test")
        with pytest.raises(RowsBesideLost, match="changed during its rebuild"):
            steps.run()
        steps.abandon()
    rebuild(named("bank.Balances"))
    assert contents() == history


def test_readers_and_their_snapshots_are_not_waited_for(published, history):
    """Rows that are copied look to each snapshot as they should."""
    Balance.objects.filter(number="3").update(balance=999)
    reader = connection.copy()
    try:
        with transaction.atomic():
            pass
        reader.set_autocommit(False)
        with reader.cursor() as cursor:
            cursor.execute("SET TRANSACTION ISOLATION LEVEL REPEATABLE READ")
            cursor.execute("SELECT balance FROM bank_balance WHERE number = '3'")
            rebuild(named("bank.Balances"))
            cursor.execute("SELECT balance FROM bank_balance WHERE number = '3'")
            assert cursor.fetchone() == (999,)
        assert contents() == history
    finally:
        reader.close()


@pytest.fixture
def slot(db):
    """Somebody who is told of all tables by another plugin, without any publication."""
    if sql("SHOW wal_level") != [("logical",)]:
        pytest.skip("the server has no logical replication: wal_level")
    name = f"rill_{connection.settings_dict['NAME']}"
    try:
        sql(f"SELECT pg_create_logical_replication_slot('{name}', 'test_decoding')")
    except OperationalError:
        pytest.skip("the server has no test_decoding")
    sql("SET synchronous_commit = on")  # What is not on disk yet is told later.
    yield name
    sql("RESET synchronous_commit")
    sql(f"SELECT pg_drop_replication_slot('{name}')")


def test_what_a_decoder_of_all_tables_is_told(history, slot):
    before = tables()
    Balance.objects.filter(number="3").update(balance=999)
    sql(f"SELECT count(*) FROM pg_logical_slot_get_changes('{slot}', NULL, NULL)")
    rebuild(named("bank.Balances"), batch_size=10)
    assert verify(named("bank.Balances")).is_equal
    changes = [
        line
        for (line,) in sql(f"SELECT data FROM pg_logical_slot_get_changes('{slot}', NULL, NULL)")
        if line.startswith("table ")
    ]
    told = [re.match(r"table (\S+): (\w+): ", line).groups() for line in changes]
    assert [one for one in told if "rill_beside" in one[0] or "rill_verify" in one[0]] == []
    assert [what for name, what in told if name == "public.bank_balance"] == ["DELETE", "INSERT"]
    assert (contents(), tables()) == (history, before)
