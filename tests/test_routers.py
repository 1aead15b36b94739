"""The log in a database of its own."""

import subprocess
import sys
from pathlib import Path

from tests.once import once

pytestmark = once

ROOT = Path(__file__).resolve().parent.parent

SITE = """
import sys
from pathlib import Path

import django
from django.conf import settings

folder = Path(sys.argv[1])


class Router:
    # Written before there were other tables of the log than these.
    log = {"event", "position", "unsequenced", "answer"}

    def db_for_read(self, model, **hints):
        in_log = model._meta.app_label == "rill_django" and model._meta.model_name in self.log
        return "log" if in_log else "default"

    db_for_write = db_for_read

    def allow_migrate(self, db, app_label, model_name=None, **hints):
        # By model, as Django's documentation has it: nothing of the log in the default database.
        if app_label != "rill_django" or model_name is None:
            return None if app_label == "rill_django" else db == "default"
        return (model_name in self.log) == (db == "log")


def sqlite(name):
    return {
        "ENGINE": "django.db.backends.sqlite3",
        "NAME": folder / name,
        "OPTIONS": {"transaction_mode": "IMMEDIATE", "init_command": "PRAGMA journal_mode=WAL"},
        "ATOMIC_REQUESTS": True,
    }


settings.configure(
    USE_TZ=True,
    SECRET_KEY="x" * 50,
    RILL={"ALLOW_FLUSH": True},
    INSTALLED_APPS=[
        "django.contrib.auth",
        "django.contrib.contenttypes",
        "rest_framework",
        "rill_django",
        "tests.bank",
    ],
    DATABASES={"default": sqlite("default.sqlite3"), "log": sqlite("log.sqlite3")},
    DATABASE_ROUTERS=[Router()],
    ROOT_URLCONF="rill_django.api.urls",
)
django.setup()

from django.core.management import call_command
from django.db import connections, transaction
from django.urls import resolve

for alias in ("default", "log"):
    call_command("migrate", database=alias, run_syncdb=True, verbosity=0)
tables = {alias: set(connections[alias].introspection.table_names()) for alias in connections}
assert "rill_django_event" not in tables["default"], tables["default"]
assert "rill_django_checkpoint" not in tables["log"], tables["log"]

from rill_django.checks import check_database
from rill_django.models import Checkpoint, Event
from rill_django.projections.worker import catch_up
from tests.bank.domain import Account
from tests.bank.models import Balance

assert [one.id for one in check_database(None)] == ["rill.W002"]
Account.open.transact("1", "Ann").unwrap()
Account.deposit.transact("1", 5, idempotency_key="k").unwrap()
Account.deposit.transact("1", 5, idempotency_key="k").unwrap()
assert Event.objects.using("log").count() == 2
try:
    with transaction.atomic():  # Of the default database: the log is not part of it.
        Account.deposit.transact("1", 7).unwrap()
        raise ZeroDivisionError
except ZeroDivisionError:
    pass
assert Account.get("1").balance == 12
# Inside a transaction of the request the feed could not give events their positions.
assert resolve("/events/").func._non_atomic_requests == {"default", "log"}
catch_up("bank.Balances")
assert Balance.objects.using("default").get().balance == 12
assert Checkpoint.objects.using("default").get().position == 3
call_command("flush", database="log", interactive=False, verbosity=0)
assert Event.objects.count() == 0
for alias in ("default", "log"):
    call_command("migrate", "rill_django", "zero", database=alias, verbosity=0)
"""


def test_the_log_can_live_in_a_database_of_its_own(tmp_path):
    script = tmp_path / "site_with_two_databases.py"
    script.write_text(SITE)
    done = subprocess.run(
        [sys.executable, "-W", "error", str(script), str(tmp_path)],
        env={"PYTHONPATH": str(ROOT)},
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr
