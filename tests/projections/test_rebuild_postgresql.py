"""Rebuilding by swapping tables: everything about them is as it was, and nobody waits for long."""

import time
from threading import Event as Signal
from threading import Thread, Timer

import pytest
from django.apps import apps
from django.conf import settings
from django.db import connection, connections, migrations, models, transaction
from django.db.migrations.state import ProjectState

from rill_django.models import Checkpoint
from rill_django.projections.rebuild import (
    AlreadyRebuilding,
    CannotBuildBeside,
    NewVersion,
    RebuildInterrupted,
    RowsBesideLost,
    rebuild,
    verify,
)
from rill_django.projections.rebuilding.dialects import place_for
from rill_django.projections.rebuilding.steps import Rebuild
from rill_django.projections.worker import catch_up
from rill_django.testing import isolated_projections
from tests.bank.domain import Account
from tests.bank.models import Balance, Holding
from tests.patience import HOPE_SECONDS, wait_until
from tests.projections.rebuilds import (
    append_history,
    contents,
    customers_projection,
    held_rebuild,
    live_position,
    named,
    read_without_waiting,
)

pytestmark = [
    pytest.mark.django_db(transaction=True),
    pytest.mark.skipif(
        settings.DATABASES["default"]["ENGINE"] != "django.db.backends.postgresql",
        reason="Only PostgreSQL can swap tables",
    ),
]

TABLES = ["bank_customer", "bank_holding"]


def sql(*statements):
    with connection.cursor() as cursor:
        for statement in statements:
            cursor.execute(statement)
        return cursor.fetchall() if cursor.description else None


@pytest.fixture
def customers():
    with isolated_projections():
        yield customers_projection()


def sql_of_roles(*statements):
    """Roles are the whole server's, so they are named for the database."""
    names = f"rill_{connection.settings_dict['NAME']}_"
    sql(*(one.replace("rill_test_", names) for one in statements))


@pytest.fixture
def adorned():
    """Tables with all that a database administrator may have given them."""
    sql_of_roles(
        # What a killed run has left would stay.
        "DROP ROLE IF EXISTS rill_test_reader, rill_test_writer",
        "CREATE ROLE rill_test_reader",
        "CREATE ROLE rill_test_writer",
        "CREATE FUNCTION rill_test_touch() RETURNS trigger LANGUAGE plpgsql AS "
        "$$ BEGIN RETURN NEW; END $$",
        "CREATE TRIGGER touch BEFORE UPDATE OF name ON bank_customer FOR EACH ROW "
        "WHEN (NEW.accounts > 5) EXECUTE FUNCTION rill_test_touch()",
        "CREATE TRIGGER off AFTER INSERT ON bank_customer EXECUTE FUNCTION rill_test_touch()",
        "ALTER TABLE bank_customer DISABLE TRIGGER off",
        "GRANT SELECT ON bank_customer TO rill_test_reader WITH GRANT OPTION",
        "GRANT SELECT (number), UPDATE (number) ON bank_holding TO PUBLIC",
        "GRANT INSERT, DELETE ON bank_holding TO rill_test_writer",
        "GRANT USAGE ON SEQUENCE bank_holding_id_seq TO rill_test_writer",
        "COMMENT ON TABLE bank_holding IS 'it''s 100 % \\ theirs'",
        "COMMENT ON COLUMN bank_holding.number IS 'a number'",
        "COMMENT ON CONSTRAINT bank_holding_unique ON bank_holding IS 'only once'",
        "COMMENT ON INDEX bank_customer_accounts IS 'quick'",
        'CREATE INDEX "Odd name" ON bank_customer (lower(name) text_pattern_ops DESC) '
        "INCLUDE (accounts) WITH (fillfactor = 70) WHERE name <> '100 %'",
        "CREATE UNIQUE INDEX one_owner ON bank_holding (number) WHERE balance > 0",
        "ALTER TABLE bank_holding ADD CONSTRAINT apart EXCLUDE USING btree (number WITH =) "
        "WHERE (balance > 0) DEFERRABLE",
        "ALTER TABLE bank_customer SET (fillfactor = 80, toast.autovacuum_enabled = false)",
        "ALTER TABLE bank_customer ALTER COLUMN name SET STATISTICS 500",
        "ALTER TABLE bank_customer ADD COLUMN ticket serial",
        "ALTER TABLE bank_customer ADD COLUMN gone int, ADD COLUMN upper_name text "
        'COLLATE "C" GENERATED ALWAYS AS (upper(name)) STORED',
        "ALTER TABLE bank_customer DROP COLUMN gone",
        "ALTER SEQUENCE bank_holding_id_seq RENAME TO bank_holding_renamed_seq",
        "ALTER TABLE bank_holding ENABLE ROW LEVEL SECURITY",
        "CREATE POLICY only_some ON bank_holding FOR SELECT TO rill_test_reader USING (balance > 0)",
        "ALTER TABLE bank_holding REPLICA IDENTITY USING INDEX bank_holding_unique",
    )
    yield
    sql_of_roles(
        "DROP TRIGGER touch ON bank_customer",
        "DROP TRIGGER off ON bank_customer",
        "DROP FUNCTION rill_test_touch()",
        'DROP INDEX "Odd name", one_owner',
        "ALTER TABLE bank_holding DROP CONSTRAINT apart",
        "ALTER TABLE bank_customer DROP COLUMN ticket, DROP COLUMN upper_name",
        "ALTER SEQUENCE bank_holding_renamed_seq RENAME TO bank_holding_id_seq",
        "DROP POLICY only_some ON bank_holding",
        "ALTER TABLE bank_holding DISABLE ROW LEVEL SECURITY, REPLICA IDENTITY DEFAULT",
        "REVOKE ALL ON bank_holding FROM PUBLIC",
        "REVOKE ALL (number) ON bank_holding FROM PUBLIC",
        "DROP OWNED BY rill_test_reader, rill_test_writer",
        "DROP ROLE rill_test_reader, rill_test_writer",
    )


def catalogs():
    """What is known of the tables, by name and without anything that counts objects."""
    found = {}
    for title, query in {
        "tables": "SELECT relname, relkind, relpersistence, reloptions, relowner, relrowsecurity, "
        "relreplident, relnamespace, obj_description(oid, 'pg_class'), (SELECT t.reloptions FROM "
        "pg_class t WHERE t.oid = c.reltoastrelid) FROM pg_class c WHERE oid = ANY (%(tables)s)",
        "columns": "SELECT attrelid::regclass::text, attname, format_type(atttypid, atttypmod), "
        "attnotnull, attidentity, attgenerated, attcollation, attstattarget, attstorage, "
        "pg_get_expr(adbin, adrelid), col_description(attrelid, attnum), "
        "row_number() OVER (PARTITION BY attrelid ORDER BY attnum) FROM pg_attribute "
        "LEFT JOIN pg_attrdef ON adrelid = attrelid AND adnum = attnum "
        "WHERE attrelid = ANY (%(tables)s) AND attnum > 0 AND NOT attisdropped",
        "constraints": "SELECT conrelid::regclass::text, conname, contype, "
        "pg_get_constraintdef(oid), convalidated, obj_description(oid, 'pg_constraint') "
        "FROM pg_constraint WHERE conrelid = ANY (%(tables)s)",
        "indexes": "SELECT indexrelid::regclass::text, pg_get_indexdef(indexrelid), indisreplident, "
        "obj_description(indexrelid, 'pg_class') FROM pg_index WHERE indrelid = ANY (%(tables)s)",
        "sequences": "SELECT refobjid::regclass::text, objid::regclass::text, refobjsubid > 0, "
        "deptype, seqtypid, seqstart, seqincrement, seqmax, seqcycle FROM pg_depend "
        "JOIN pg_sequence ON seqrelid = objid WHERE refobjid = ANY (%(tables)s)",
        "triggers": "SELECT tgname, tgenabled, pg_get_triggerdef(oid) FROM pg_trigger "
        "WHERE tgrelid = ANY (%(tables)s) AND NOT tgisinternal",
        "policies": "SELECT * FROM pg_policies WHERE tablename LIKE 'bank%%'",
        "privileges": "SELECT c.relname, p.* FROM pg_class c, aclexplode(coalesce(relacl, "
        "acldefault('r', relowner))) p WHERE relname LIKE 'bank%%' AND relkind IN ('r', 'S')",
        "of columns": "SELECT attrelid::regclass::text, attname, p.* FROM pg_attribute, "
        "aclexplode(attacl) p WHERE attrelid = ANY (%(tables)s)",
    }.items():
        with connection.cursor() as cursor:
            cursor.execute(
                "SELECT array_agg(to_regclass(name)::oid) FROM unnest(%s::text[]) name", (TABLES,)
            )
            (tables,) = cursor.fetchone()
            cursor.execute(query, {"tables": tables})
            found[title] = sorted(map(repr, cursor.fetchall()))
    return found


def test_everything_about_the_tables_is_as_it_was(customers, adorned):
    append_history(20, 2)
    catch_up()
    before, rows = catalogs(), contents()
    assert all(before.values())
    for _ in range(2):
        rebuild(customers)
        assert catalogs() == before
        assert contents() == rows
    for table, column in (
        ("bank_customer", "id"),
        ("bank_customer", "ticket"),
        ("bank_holding", "id"),
    ):
        ((highest,),) = sql(f"SELECT max({column}) FROM {table}")
        ((following,),) = sql(f"SELECT nextval(pg_get_serial_sequence('{table}', '{column}'))")
        assert following > highest


def test_later_migrations_find_what_they_name(customers):
    append_history(5, 1)
    catch_up()
    rebuild(customers)
    state = ProjectState.from_apps(apps)
    forwards = [
        migrations.RemoveConstraint("holding", "bank_holding_unique"),
        migrations.RemoveConstraint("holding", "bank_holding_positive"),
        migrations.RemoveIndex("customer", "bank_customer_accounts"),
        migrations.AlterField("customer", "name", models.CharField(max_length=200)),
        migrations.RemoveField("holding", "customer"),
    ]
    states = [state]
    with transaction.atomic():
        with connection.schema_editor(atomic=False) as editor:
            for operation in forwards:
                after = states[-1].clone()
                operation.state_forwards("bank", after)
                operation.database_forwards("bank", editor, states[-1], after)
                states.append(after)
        transaction.set_rollback(True)
    assert Holding.objects.count() == 5


def test_it_takes_up_what_was_built_before_the_kill():
    append_history(300, 19)
    catch_up("bank.Balances")
    before = contents()
    arguments = ["bank.Balances", "--no-input", "--batch-size", "200"]
    with held_rebuild(*arguments, behind=1_000) as rebuilder:
        rebuilder.kill()
        rebuilder.communicate()
    beside = Checkpoint.objects.filter(name="bank.Balances", is_beside=True)
    position = beside.get().position
    assert 1_000 < position < 6_000
    assert contents() == before
    wait_until_unclaimed("bank.Balances")
    told = []
    assert (
        rebuild(named("bank.Balances"), progress=lambda _, done, head: told.append(done)) == 6_000
    )
    assert told[0] > position
    assert contents() == before
    assert not beside.exists()


def wait_until_unclaimed(name):
    place = place_for(named(name), "beside")
    wait_until(place.claim, lambda: "the killed process still holds its lock")
    place.release()


def interrupted(projection, batch_size=10):
    stop = Signal()
    with pytest.raises(RebuildInterrupted):
        rebuild(projection, batch_size=batch_size, stop=stop, progress=lambda *step: stop.set())
    assert Checkpoint.objects.filter(is_beside=True).exists()


def resumed_at(projection, **options):
    place = place_for(projection, "beside")
    with Rebuild(place, **options) as steps:
        steps.run()
        return steps.resumed_at


def test_it_begins_anew_when_something_has_changed(customers):
    append_history(10, 2)
    catch_up()
    before = contents()
    interrupted(customers)
    assert resumed_at(customers) == 10
    interrupted(customers)
    assert resumed_at(customers, restart=True) == 0
    interrupted(customers)
    type(customers).version = 2
    assert resumed_at(customers) == 0
    interrupted(customers)
    sql("CREATE INDEX later ON bank_customer (name)")
    try:
        assert resumed_at(customers) == 0
    finally:
        sql("DROP INDEX later")
    interrupted(customers)
    sql(f"DROP SCHEMA {place_for(customers, 'beside').name} CASCADE")
    assert resumed_at(customers) == 0
    assert contents() == before


def test_the_next_rebuild_need_not_wait_for_the_server_to_notice(monkeypatch):
    """A connection that was closed may hold its locks for a while, when the machine is busy."""
    first, second = (place_for(named("bank.Balances"), "beside") for _ in range(2))
    assert first.claim()
    guard = first._guard
    monkeypatch.setattr(guard, "close", lambda: None)
    first.release()
    try:
        assert second.claim()
        second.release()
    finally:
        monkeypatch.undo()
        guard.close()


def test_the_second_of_two_says_so(customers):
    append_history(2, 1)
    with Rebuild(place_for(customers, "beside")) as first:
        with pytest.raises(AlreadyRebuilding, match="Somebody else is rebuilding"):
            rebuild(customers)
        with pytest.raises(AlreadyRebuilding):
            NewVersion(customers).step()
        first.run()
    rebuild(customers)


def test_rows_never_go_to_the_live_tables_when_those_beside_have_gone(customers):
    append_history(10, 2)
    catch_up()
    before = contents()
    steps = Rebuild(place_for(customers, "beside"), batch_size=10)
    with steps:
        steps.step()
        sql(f"DROP SCHEMA {place_for(customers, 'beside').name} CASCADE")
        with pytest.raises(RowsBesideLost, match="has gone meanwhile"):
            steps.step()
    assert contents() == before


def test_a_migration_during_a_rebuild_is_noticed(customers):
    append_history(10, 2)
    catch_up()
    before = contents()
    try:
        with Rebuild(place_for(customers, "beside")) as steps:
            sql("ALTER TABLE bank_customer ADD COLUMN more int")
            with pytest.raises(RowsBesideLost, match="have been changed"):
                steps.run()
    finally:
        sql("ALTER TABLE bank_customer DROP COLUMN more")
    assert contents() == before


@pytest.mark.parametrize(
    ("make", "undo", "reason"),
    [
        (
            "CREATE VIEW rich AS SELECT * FROM bank_customer",
            "DROP VIEW rich",
            "view rich depends on it",
        ),
        (
            "CREATE TABLE other (customer bigint REFERENCES bank_customer (id))",
            "DROP TABLE other",
            "constraint other_customer_fkey on table other depends on it",
        ),
        (
            "CREATE TABLE child () INHERITS (bank_customer)",
            "DROP TABLE child",
            "inherits, or is inherited from",
        ),
        (
            "CREATE STATISTICS pairs ON name, accounts FROM bank_customer",
            "DROP STATISTICS pairs",
            "has extended statistics",
        ),
        (
            "CREATE TABLE typed (whole bank_customer)",
            "DROP TABLE typed",
            "column whole of table typed depends on it|table typed depends on it",
        ),
    ],
)
def test_what_would_be_lost_is_refused_before_anything_is_done(customers, make, undo, reason):
    append_history(2, 1)
    catch_up()
    before = contents()
    sql(make)
    try:
        with pytest.raises(CannotBuildBeside, match=reason) as refused:
            rebuild(customers)
        assert "--in-place" in str(refused.value)
        rebuild(customers, in_place=True)
        # A new version does not wait for somebody to notice.
        assert not NewVersion(customers).step()
    finally:
        sql(undo)
    assert contents() == before
    assert not Checkpoint.objects.filter(is_beside=True).exists()


def test_a_reader_with_a_transaction_open_delays_the_swap_but_nobody_else(customers):
    append_history(5, 1)
    catch_up()
    reading, done = Signal(), Signal()

    def read_at_leisure():
        try:
            with transaction.atomic():
                assert Holding.objects.count() == 5
                reading.set()
                done.wait(HOPE_SECONDS)
                assert Holding.objects.count() == 5
        finally:
            connections.close_all()

    reader = Thread(daemon=True, target=read_at_leisure)
    reader.start()
    assert reading.wait(HOPE_SECONDS)
    with Rebuild(place_for(customers, "beside")) as steps:
        pauses = 0
        while steps.step():
            pauses += bool(steps.pause)
            assert read_without_waiting(Holding) == 5
            time.sleep(min(steps.pause, 0.05))
            if pauses > 4:
                done.set()
    reader.join(HOPE_SECONDS)
    assert pauses > 4
    assert Holding.objects.count() == 5


def test_a_snapshot_from_before_never_sees_rows_that_were_half_built(customers):
    append_history(20, 4)
    catch_up()
    seen = []
    reading, done = Signal(), Signal()

    def read_late():
        try:
            with transaction.atomic():
                with connection.cursor() as cursor:
                    cursor.execute("SET TRANSACTION ISOLATION LEVEL REPEATABLE READ")
                    cursor.execute("SELECT 1 FROM rill_django_checkpoint")
                reading.set()
                done.wait(HOPE_SECONDS)
                seen.append(Holding.objects.count())
        finally:
            connections.close_all()

    with Rebuild(place_for(customers, "beside"), batch_size=20) as steps:
        steps.step()
        reader = Thread(daemon=True, target=read_late)
        reader.start()
        assert reading.wait(HOPE_SECONDS)
        waits = 0
        while steps.step():
            waits += bool(steps.pause)
            time.sleep(min(steps.pause, 0.02))
            if waits == 5:
                done.set()
    reader.join(HOPE_SECONDS)
    assert waits >= 5
    assert seen == [20]


def test_only_another_schema_on_the_search_path_is_meant(customers):
    """As with one schema for each tenant."""
    append_history(3, 1)
    catch_up()
    live = live_position(customers)
    sql(
        "CREATE SCHEMA tenant",
        "CREATE TABLE tenant.bank_customer (LIKE bank_customer INCLUDING ALL)",
    )
    try:
        sql("SET search_path = tenant, public")
        with pytest.raises(CannotBuildBeside, match="different schemas"):
            rebuild(customers)
    finally:
        sql("RESET search_path", "DROP SCHEMA tenant CASCADE")
    assert live_position(customers) == live
    rebuild(customers)


def test_deferred_constraints_are_checked_before_the_swap(customers):
    append_history(3, 1)
    catch_up()
    before = contents()

    def dangling(self, event):
        Holding.objects.filter(number=event.number).update(customer_id=999_999)

    type(customers).handlers = {**customers.handlers, "bank.Account.deposited": dangling}
    with pytest.raises(Exception, match="foreign key constraint"):
        rebuild(customers)
    assert contents() == before
    assert not Checkpoint.objects.filter(is_beside=True).exists()


def test_the_planner_knows_the_new_rows(customers, monkeypatch):
    monkeypatch.setattr("rill_django.projections.rebuilding.steps.FEW_EVENTS", 5)
    append_history(30, 1)
    rebuild(customers)
    assert sql("SELECT reltuples FROM pg_class WHERE oid = 'bank_holding'::regclass") == [(30.0,)]
    Account.deposit.transact("1", 5).unwrap()
    catch_up()
    assert Holding.objects.get(number="1").balance == 6
    assert not Balance.objects.exists()


@pytest.fixture
def bound_by_the_server():
    """Have statements and their values go to the server apart, and be prepared."""
    options = connection.settings_dict["OPTIONS"]
    before = options.copy()
    options.update(server_side_binding=True, prepare_threshold=1)
    connection.close()
    yield
    options.clear()
    options.update(before)
    connection.close()


def test_nobody_waits_for_the_rebuild_itself_if_the_server_binds(customers, bound_by_the_server):
    append_history(20, 5)
    catch_up()
    before = contents()
    stop = Signal()
    timer = Timer(20, stop.set)
    timer.start()
    try:
        assert rebuild(customers, stop=stop) == 120
    finally:
        timer.cancel()
    assert contents() == before
    assert verify(customers).is_equal
