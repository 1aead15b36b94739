"""A log that has events is emptied only at an explicit word, or in a database of tests."""

import json
import subprocess
import sys
from io import StringIO
from pathlib import Path

import pytest
from django.core import mail
from django.core.management import call_command
from django.core.management.base import CommandError
from django.db import connection

from rill_django import emptying
from rill_django.models import Answer, Event, Position, StoredType
from rill_django.store.orm import DjangoEventStore
from tests.bank.domain import Account

pytestmark = pytest.mark.django_db(transaction=True)


@pytest.fixture
def live(monkeypatch):
    """A database that no test runner has made."""
    name = connection.settings_dict["NAME"]
    monkeypatch.setitem(emptying._names_at_start, connection.alias, name)


@pytest.fixture
def log():
    for number in range(3):
        Account.open.transact(str(number), "Ann", idempotency_key=f"k{number}").unwrap()
    assert DjangoEventStore().head() == 3


def content():
    models = (Event, Position, Answer, StoredType)
    return [list(model.objects.order_by("pk").values()) for model in models]


def guards_stand():
    return DjangoEventStore().faults_of_guards() == []


WAYS = {
    "flush": lambda: call_command("flush", interactive=False, verbosity=0),
    "zero": lambda: call_command("migrate", "rill_django", "zero", verbosity=0),
    "0001": lambda: call_command("migrate", "rill_django", "0001", verbosity=0),
    "last": lambda: call_command("migrate", "rill_django", "0009", verbosity=0),
    "fake": lambda: call_command("migrate", "rill_django", "zero", fake=True, verbosity=0),
}


def forwards():
    call_command("migrate", verbosity=0)


@pytest.mark.usefixtures("live", "log")
@pytest.mark.parametrize("allowed", [{}, {"ALLOW_FLUSH": False}, {"ALLOW_FLUSH": None}], ids=str)
@pytest.mark.parametrize("way", WAYS)
def test_a_log_with_events_is_not_emptied_without_a_word(settings, way, allowed):
    settings.RILL = allowed
    before = content()
    with pytest.raises(CommandError, match=r"has 3 events.*Nothing was done.*ALLOW_FLUSH"):
        WAYS[way]()
    assert content() == before
    assert guards_stand()
    with connection.cursor() as cursor:
        cursor.execute("SELECT count(*) FROM django_migrations WHERE app = 'rill_django'")
        assert cursor.fetchone()[0] >= 10


@pytest.mark.usefixtures("live", "log")
def test_flush_does_not_even_ask(settings, monkeypatch):
    monkeypatch.setattr("builtins.input", lambda *_: pytest.fail("asked"))
    with pytest.raises(CommandError, match="not flushed"):
        call_command("flush", verbosity=0)


@pytest.mark.usefixtures("live", "log")
def test_whoever_says_no_when_asked_keeps_all(settings, monkeypatch):
    settings.RILL = {"ALLOW_FLUSH": True}
    before = content()
    monkeypatch.setattr("builtins.input", lambda *_: "no")
    call_command("flush", verbosity=0, stdout=StringIO())
    assert content() == before
    assert guards_stand()


@pytest.mark.usefixtures("live", "log")
@pytest.mark.parametrize("reset", [True, False])
def test_with_the_word_it_is_emptied_and_guarded_again(settings, reset):
    settings.RILL = {"ALLOW_FLUSH": True}
    last = Event.objects.latest("id").id
    call_command("flush", interactive=False, verbosity=0, reset_sequences=reset)
    assert content() == [[], [], [], []]
    assert guards_stand()
    Account.open.transact("9", "Ann").unwrap()
    assert DjangoEventStore().head() == 1
    if connection.vendor != "sqlite":
        assert Event.objects.get().id == (1 if reset else last + 1)


@pytest.mark.usefixtures("live", "log")
def test_with_the_word_migrations_are_taken_back(settings):
    settings.RILL = {"ALLOW_FLUSH": True}
    try:
        call_command("migrate", "rill_django", "0002", verbosity=0)
        assert guards_stand()
        call_command("migrate", "rill_django", "0001", verbosity=0)
        assert not guards_stand()
        with connection.cursor() as cursor:
            cursor.execute("UPDATE rill_django_event SET type = 'x' WHERE version = 0")
    finally:
        forwards()
    assert guards_stand()
    try:
        call_command("migrate", "rill_django", "zero", verbosity=0)
        assert not any(
            name.startswith("rill_django_") for name in connection.introspection.table_names()
        )
    finally:
        forwards()
    assert guards_stand()


@pytest.mark.usefixtures("live")
def test_an_empty_log_asks_for_no_word(settings):
    settings.RILL = {}
    call_command("flush", interactive=False, verbosity=0)
    try:
        call_command("migrate", "rill_django", "0001", verbosity=0)
    finally:
        forwards()
    assert guards_stand()


@pytest.mark.usefixtures("live", "log")
def test_a_database_that_cannot_be_emptied_half_way_is_guarded_afterwards(settings, monkeypatch):
    settings.RILL = {"ALLOW_FLUSH": True}
    if connection.vendor != "mysql":  # MySQL has emptied the log by then.
        before = content()

    def fails(statements):
        raise RuntimeError("no more")

    monkeypatch.setattr(type(connection.ops), "execute_sql_flush", lambda self, sql: fails(sql))
    with pytest.raises(CommandError, match="couldn't be flushed"):
        call_command("flush", interactive=False, verbosity=0)
    monkeypatch.undo()
    assert guards_stand()
    if connection.vendor != "mysql":
        assert content() == before


class TestWhatIsADatabaseOfTests:
    def test_this_one_is(self):
        assert emptying.is_test_database(connection)

    def test_a_database_that_the_settings_name_is_none(self, live):
        assert not emptying.is_test_database(connection)

    def test_a_database_outside_the_environment_of_tests_is_none(self, monkeypatch):
        monkeypatch.delattr(mail, "outbox")
        assert not emptying.is_test_database(connection)

    def test_a_project_of_its_own(self, tmp_path):
        """A live database called "test" is none, also in a shell that has set up the environment of tests."""
        script = f"""
import json, os, sys
from django.conf import settings
settings.configure(INSTALLED_APPS=["rill_django"], DATABASES={{"default": {{
    "ENGINE": "django.db.backends.sqlite3", "NAME": {str(tmp_path / "test_live.sqlite3")!r},
    "TEST": {{"NAME": {str(tmp_path / "other.sqlite3")!r}}}}}}})
import django
django.setup()
from django.db import connection
from django.test.utils import setup_test_environment
from rill_django.emptying import is_test_database
said = [is_test_database(connection)]
setup_test_environment()
said.append(is_test_database(connection))
connection.creation.create_test_db(verbosity=0)
said.append(is_test_database(connection))
print(json.dumps(said))
"""
        root = Path(__file__).parent.parent
        done = subprocess.run(
            [sys.executable, "-c", script], capture_output=True, text=True, cwd=root, check=True
        )
        assert json.loads(done.stdout) == [False, False, True]
