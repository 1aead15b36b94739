"""A schema for each tenant: projections, rebuilds and verifications keep to the one that is asked for."""

from decimal import Decimal
from threading import Thread

import pytest
from django.conf import settings
from django.db import connection, connections

from rill_django.models import Checkpoint, Event
from rill_django.projections.postgresql_schemas import RowsOfAnotherSchema
from rill_django.projections.rebuild import NewVersion, rebuild, verify
from rill_django.projections.rebuilding import together
from rill_django.projections.rebuilding.dialects import place_for
from rill_django.projections.rebuilding.errors import LiveRowsTouched
from rill_django.projections.rebuilding.steps import Rebuild
from rill_django.projections.worker import catch_up
from rill_django.testing import isolated_projections
from tests.bank.domain import Account
from tests.bank.models import AuditLine, Balance
from tests.bank.projections import Balances
from tests.projections.inline_bank import balances
from tests.projections.rebuilds import append_history, contents, customers_projection, named

pytestmark = pytest.mark.skipif(
    settings.DATABASES["default"]["ENGINE"] != "django.db.backends.postgresql",
    reason="Only PostgreSQL has schemas in a database",
)

NAMES = ["bank.Balances", "bank.Audit"]


@pytest.fixture
def histories(tenants):
    """Each tenant has another history, and so has the public schema."""
    for number, name in enumerate(("public", "a", "b"), start=1):
        with tenants.at(name):
            append_history(3 * number, deposits=number)
            catch_up()
    return tenants


def everything(tenants):
    found = {}
    for name in ("public", "a", "b"):
        with tenants.at(name):
            found[name] = contents()
    return found


def damage():
    Balance.objects.update(balance=999)
    AuditLine.objects.all().delete()


@pytest.mark.parametrize("name", NAMES)
def test_rebuilding_and_verifying(histories, name):
    whole = everything(histories)
    assert {schema: len(rows["balances"]) for schema, rows in whole.items()} == {
        "public": 3,
        "a": 6,
        "b": 9,
    }
    with histories.at("a"):
        damage()
        damaged = contents()
        found = verify(named(name))
        assert not found.is_equal
        assert contents() == damaged
        for one in NAMES:
            rebuild(named(one))
        assert contents() == whole["a"]
        assert verify(named(name)).is_equal
    assert everything(histories) == whole
    assert histories.schemas_beside() == []


def test_handlers_that_ask_for_more(histories):
    """They open cursors of all kinds, and use several tables."""
    with isolated_projections(), histories.at("a"):
        projection = customers_projection()
        catch_up(projection.name)
        before = contents()["holdings"]
        assert len(before) == 6
        with connection.cursor() as cursor:
            cursor.execute("UPDATE bank_holding SET balance = 7")
        rebuild(projection)
        assert contents()["holdings"] == before
        assert verify(projection).is_equal
    with histories.at("b"):
        assert contents()["holdings"] == []


def test_in_place(histories):
    whole = everything(histories)
    with histories.at("b"):
        damage()
        for name in NAMES:
            rebuild(named(name), in_place=True)
    assert everything(histories) == whole


def test_two_tenants_at_the_same_time(histories):
    whole = everything(histories)
    steps = {}
    for name in ("a", "b"):
        with histories.at(name):
            damage()
            steps[name] = Rebuild(place_for(named(NAMES[0]), "beside"), batch_size=2)
            steps[name].start()
            assert steps[name].step()
    assert len(set(histories.schemas_beside())) == 2
    for name in ("b", "a"):
        with histories.at(name):
            steps[name].run()
            steps[name].close()
            assert contents()["balances"] == whole[name]["balances"]


def test_what_was_interrupted_is_taken_up_by_the_same_tenant(histories):
    whole = everything(histories)
    with histories.at("a"), Rebuild(place_for(named(NAMES[0]), "beside"), batch_size=5) as steps:
        assert steps.step()
        steps.close()
    (left,) = histories.schemas_beside()
    with histories.at("b"):
        rebuild(named(NAMES[0]))
    assert histories.schemas_beside() == [left]
    with histories.at("a"), Rebuild(place_for(named(NAMES[0]), "beside")) as steps:
        assert steps.resumed_at == 5
        steps.run()
    assert everything(histories) == whole
    assert histories.schemas_beside() == []


def test_a_new_version(histories, monkeypatch):
    whole = everything(histories)
    monkeypatch.setattr(Balances, "version", 2)
    with histories.at("a"):
        Balance.objects.all().delete()
        steps = NewVersion(named(NAMES[0]))
        while steps.step():
            pass
    assert everything(histories) == whole
    versions = []
    for name in ("public", "a", "b"):
        with histories.at(name):
            versions.append(Checkpoint.objects.get(name=NAMES[0]).version)
    assert versions == [1, 2, 1]


def test_several_processes(histories, monkeypatch):
    monkeypatch.setattr(together, "WORTH_SHARING", 1)
    monkeypatch.setattr(Balances, "partitions", 2)
    with histories.at("a"):
        catch_up()
    whole = everything(histories)
    told = []
    with histories.at("a"):
        damage()
        rebuild(named(NAMES[0]), workers=2, progress=lambda *step: told.append(step))
        assert contents()["balances"] == whole["a"]["balances"]
    assert len(told) > 1
    with histories.at("b"):
        assert contents() == whole["b"]


def test_an_inline_projection(histories):
    with isolated_projections():
        sums = balances()
        for name in ("a", "b"):
            with histories.at(name):
                Account.open.transact(f"new {name}", owner=f"Ann of {name}").unwrap()
                rebuild(named(sums.name))
                assert Balance.objects.count() == Event.objects.filter(type=OPENED).count()
                assert verify(named(sums.name)).is_equal
        with histories.at("a"):
            assert not Balance.objects.filter(number="new b").exists()


OPENED = "bank.Account.opened"


def test_locks_are_each_tenants_own(histories):
    """Somebody gives positions and replaces inline rows in a; commands and readers of b do not wait."""
    with isolated_projections():
        name = balances().name
        with histories.at("b"):
            rebuild(named(name))
        other = connections.create_connection("default")
        try:
            other.set_autocommit(False)
            with other.cursor() as cursor:
                cursor.execute("SELECT set_config('search_path', 'a', true)")
                cursor.execute(
                    "SELECT pg_try_advisory_xact_lock('a.rill_django_position'::regclass::oid::int, 0), "
                    "pg_advisory_xact_lock("
                    "hashtext(%s || ' ' || 'a.rill_django_checkpoint'::regclass::oid), 2)",
                    (name,),
                )
                with histories.at("b"), connection.cursor() as own:
                    own.execute("SET lock_timeout = '5s'")
                    Account.open.transact("another", owner="Eve").unwrap()
                    assert Balance.objects.filter(number="another").exists()
                    catch_up()
                    own.execute("RESET lock_timeout")
        finally:
            other.close()


def test_the_process_remembers_nothing_of_another_tenant(tenants):
    for turn in range(2):
        for amount, name in enumerate(("a", "b"), start=1):
            with tenants.at(name):
                if not turn:
                    Account.open.transact("1", owner=name).unwrap()
                Account.deposit.transact("1", amount=Decimal(amount)).unwrap()
                assert Account.get("1").balance == amount * (turn + 1)
                assert Account.get("1").owner == name
                catch_up()
                assert Balance.objects.get().balance == amount * (turn + 1)


def test_threads_begin_where_their_own_connection_is(histories):
    """Nothing goes from thread to thread: who begins one says to it which tenant it is for."""
    found = []

    def look():
        try:
            found.append(Balance.objects.count())
        finally:
            connections.close_all()

    with histories.at("a"):
        thread = Thread(target=look)
        thread.start()
        thread.join()
    assert found == [3]


def test_a_rebuild_stays_with_its_tenant(histories):
    whole = everything(histories)
    with histories.at("a"):
        steps = Rebuild(place_for(named(NAMES[0]), "beside"), batch_size=5)
        steps.start()
    with (
        histories.at("b"),
        pytest.raises(LiveRowsTouched, match="began in the schema a"),
        steps._place.building(),
    ):
        raise AssertionError
    with histories.at("a"):
        steps.abandon()
    assert everything(histories) == whole


def test_a_tenant_without_tables_of_its_own_leaves_those_of_others_alone(histories):
    whole = everything(histories)
    with histories.at("a"), connection.cursor() as cursor:
        cursor.execute("DROP TABLE a.bank_balance")
        Checkpoint.objects.filter(name=NAMES[0]).delete()
        for go in (catch_up, lambda: rebuild(named(NAMES[0])), lambda: verify(named(NAMES[0]))):
            with pytest.raises(RowsOfAnotherSchema, match="has no table bank_balance"):
                go()
    with histories.at("public"):
        assert contents() == whole["public"]
