"""System checks that look into the log: what no code knows is said before anything goes wrong."""

from io import StringIO

import pytest
from django.core.checks import run_checks
from django.core.management import call_command
from django.core.management.base import SystemCheckError
from django.db import connection, models

from rill_django import Aggregate, key, upcast
from rill_django.checks_of_the_log import check_stored_types, check_tables_of_the_log
from rill_django.domain.records import NewEvent
from rill_django.domain.registry import isolated_registry
from rill_django.models import StoredType
from rill_django.store.orm import DjangoEventStore
from tests.bank.domain import Account

ADDED, OPENED = "bank.Account.added", "bank.Account.opened"


def append(stream, *types):
    events = [NewEvent(type, b'{"number": "1", "owner": "Ann"}') for type in types]
    DjangoEventStore().append(stream, -1, events)


def found():
    return [
        (one.id, one.msg, one.hint)
        for one in check_stored_types(None, databases=[connection.alias])
    ]


def ids():
    return [id for id, _message, _hint in found()]


@pytest.fixture
def registry():
    with isolated_registry() as registry:
        registry.add(Account, Account.type_name)
        yield registry


@pytest.mark.django_db
class TestTypes:
    def test_all_are_known(self):
        append("bank.Account/1", OPENED, "bank.Account.closed")
        assert found() == []

    def test_one_that_no_code_knows(self):
        append("bank.Account/1", OPENED, ADDED, ADDED)
        append("bank.Account/2", ADDED)
        ((id, message, hint),) = found()
        assert id == "rill.E010"
        assert ADDED in message
        assert "bank.Account/1@1" in message
        for cure in (f"@event(name='{ADDED}')", f"@upcast('{ADDED}')", f"ignores = ('{ADDED}',)"):
            assert cure in hint

    def test_one_of_another_aggregate(self):
        append("bank.Account/1", "registration.Account.registered")
        assert ids() == ["rill.E010"]

    def test_one_that_its_aggregate_ignores(self):
        with isolated_registry():

            class Account(Aggregate, name="bank.Account"):
                number: str = key()
                ignores = ("added",)

            append("bank.Account/1", ADDED)
            assert found() == []

    @pytest.mark.parametrize("setting", ["ignore", [ADDED], ("x.y", "bank.Account")])
    def test_one_that_the_settings_pass_over(self, settings, setting):
        append("bank.Account/1", ADDED)
        settings.RILL = {"UNKNOWN_EVENTS": setting}
        assert found() == []
        settings.RILL = {"UNKNOWN_EVENTS": "refuse"}
        assert ids() == ["rill.E010"]

    def test_one_that_an_upcaster_renames(self, registry):
        upcast(ADDED)(lambda raw: raw.renamed(OPENED))
        append("bank.Account/1", ADDED)
        assert found() == []

    def test_one_that_an_upcaster_drops(self, registry):
        upcast(ADDED)(lambda raw: None)
        append("bank.Account/1", ADDED)
        assert found() == []

    def test_one_that_an_upcaster_renames_by_a_slip(self, registry):
        upcast(ADDED)(lambda raw: raw.renamed("bank.Account.opend"))
        append("bank.Account/1", ADDED)
        ((id, message, _hint),) = found()
        assert id == "rill.E010"
        assert "bank.Account.opend" in message

    def test_an_upcaster_for_every_event_does_not_hide_what_it_leaves_alone(self, registry):
        upcast()(lambda raw: raw.renamed(OPENED) if raw.type.endswith("added") else raw)
        append("bank.Account/1", ADDED, "bank.Account.touched", OPENED)
        ((_id, message, _hint),) = found()
        assert "bank.Account.touched" in message

    def test_an_event_that_cannot_be_read_is_another_matter(self, registry):
        upcast(ADDED)(lambda raw: raw.data["missing"])
        append("bank.Account/1", ADDED)
        assert found() == []


@pytest.mark.django_db
class TestAggregates:
    def test_one_that_no_code_knows_any_more(self):
        append("bank.Konto/1", OPENED, "bank.Konto.opened")
        ((id, message, hint),) = found()
        assert id == "rill.E011"
        assert "bank.Konto" in message
        assert "bank.Konto/1@0" in message
        assert "name='bank.Konto'" in hint

    @pytest.mark.parametrize("setting", ["ignore", ["bank.Konto"]])
    def test_one_that_the_settings_pass_over(self, settings, setting):
        append("bank.Konto/1", "bank.Konto.opened")
        settings.RILL = {"UNKNOWN_EVENTS": setting}
        assert found() == []

    def test_one_all_of_whose_events_another_class_ignores(self):
        with isolated_registry():

            class Account(Aggregate, name="bank.Account"):
                number: str = key()
                ignores = ("bank.Konto.opened",)

            append("bank.Konto/1", "bank.Konto.opened")
            assert found() == []


@pytest.mark.django_db
def test_it_asks_only_where_it_may():
    append("bank.Account/1", ADDED)
    assert check_stored_types(None, databases=None) == []
    assert check_stored_types(None, databases=["elsewhere"]) == []
    everywhere = [one.id for one in run_checks(databases=[connection.alias])]
    assert set(everywhere) - {"rill.W007"} == {"rill.E010"}  # MariaDB takes many keys for equal.
    assert everywhere.count("rill.E010") == 1


@pytest.mark.django_db(transaction=True)
def test_before_the_first_migration_there_is_nothing_to_say():
    with connection.schema_editor() as editor:
        editor.delete_model(StoredType)
    try:
        assert found() == []
    finally:
        with connection.schema_editor() as editor:
            editor.create_model(StoredType)


@pytest.mark.django_db
@pytest.mark.parametrize(
    ("command", "options"),
    [
        ("migrate", {}),
        ("run_projections", {"once": True}),
        ("rebuild_projections", {"no_input": True}),
    ],
)
def test_what_would_leave_events_out_does_not_begin(command, options):
    append("bank.Account/1", ADDED)
    with pytest.raises(SystemCheckError, match=r"rill\.E010"):
        call_command(command, skip_checks=False, stdout=StringIO(), stderr=StringIO(), **options)


@pytest.mark.parametrize("model", ["position", "unsequenced", "answer"])
def test_routers_that_keep_a_table_away_from_the_log(settings, model):
    assert check_tables_of_the_log(None) == []
    KeepsAway.model = model
    settings.DATABASE_ROUTERS = [KeepsAway()]
    (error,) = check_tables_of_the_log(None)
    assert error.id == "rill.E012"
    assert issubclass(error.obj, models.Model)
    assert error.obj._meta.model_name == model


class KeepsAway:
    model = ""

    def allow_migrate(self, db, app_label, model_name=None, **hints):
        return False if (app_label, model_name) == ("rill_django", self.model) else None
