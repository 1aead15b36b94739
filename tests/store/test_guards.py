"""Whether the guards of the log stand is told, and one command puts them back."""

import os
import re
import shutil
import subprocess
from io import StringIO

import pytest
from django.core.management import call_command
from django.core.management.base import CommandError
from django.db import connection
from django.db.utils import ConnectionHandler

from rill_django.checks_of_the_log import check_protection
from rill_django.integrity.findings import Damage
from rill_django.integrity.verification import verify
from rill_django.store.orm import DjangoEventStore, dialect_of
from rill_django.testing.contracts import new_events

EVENT, POSITION, QUEUE = "rill_django_event", "rill_django_position", "rill_django_unsequenced"

# MySQL commits what changes a table, so that nothing of it can be rolled back.
pytestmark = pytest.mark.django_db(transaction=connection.vendor == "mysql")


BREACHES = {
    "sqlite": [
        *(
            ([f"DROP TRIGGER {name}"], f"{name} is missing")
            for name in (
                f"{EVENT}_no_update",
                f"{EVENT}_no_delete",
                f"{EVENT}_no_replace",
                f"{POSITION}_no_update",
                f"{POSITION}_no_delete",
                f"{POSITION}_no_replace",
                f"{QUEUE}_no_update",
            )
        ),
        (
            [
                f"DROP TRIGGER {EVENT}_no_update",
                f"CREATE TRIGGER {EVENT}_no_update BEFORE UPDATE ON {EVENT} BEGIN SELECT 1; END",
            ],
            f"{EVENT}_no_update is not as it is made today",
        ),
        (
            [
                f"DROP TRIGGER {EVENT}_no_delete",
                f"CREATE TRIGGER {EVENT}_no_delete BEFORE DELETE ON {POSITION} BEGIN SELECT 1; END",
            ],
            f"{EVENT}_no_delete is not as it is made today",
        ),
    ],
    "postgresql": [
        *(
            ([f"DROP TRIGGER {table}_{end} ON {table}"], f"{table}_{end} of {table} is missing")
            for table in (EVENT, POSITION, QUEUE)
            for end in ("immutable", "no_truncate")
        ),
        ([f"ALTER TABLE {EVENT} DISABLE TRIGGER ALL"], f"{EVENT}_immutable of {EVENT} is disabled"),
        ([f"ALTER TABLE {POSITION} DISABLE TRIGGER USER"], f"of {POSITION} is disabled"),
        (
            [f"ALTER TABLE {EVENT} ENABLE REPLICA TRIGGER {EVENT}_immutable"],
            f"{EVENT}_immutable of {EVENT} is disabled",
        ),
        (
            # What disabling and enabling again leaves behind: not in the role of a replica.
            [
                f"ALTER TABLE {EVENT} DISABLE TRIGGER ALL",
                f"ALTER TABLE {EVENT} ENABLE TRIGGER ALL",
            ],
            f"{EVENT}_immutable of {EVENT} is not as it is made today",
        ),
        (
            [
                f"CREATE OR REPLACE FUNCTION {EVENT}_refuse() RETURNS trigger LANGUAGE plpgsql "
                "AS $$ BEGIN RETURN NEW; END $$"
            ],
            "is not as it is made today",
        ),
        (
            [
                f"DROP TRIGGER {EVENT}_immutable ON {EVENT}",
                f"CREATE TRIGGER {EVENT}_immutable BEFORE UPDATE ON {EVENT} "
                f"FOR EACH ROW EXECUTE FUNCTION {EVENT}_refuse()",
            ],
            f"{EVENT}_immutable of {EVENT} is not as it is made today",
        ),
        (
            [
                f"DROP TRIGGER {EVENT}_immutable ON {EVENT}",
                f"CREATE TRIGGER {EVENT}_immutable BEFORE UPDATE OR DELETE ON {EVENT} "
                f"FOR EACH ROW WHEN (false) EXECUTE FUNCTION {EVENT}_refuse()",
            ],
            f"{EVENT}_immutable of {EVENT} is not as it is made today",
        ),
        (
            [
                f"DROP TRIGGER {EVENT}_immutable ON {EVENT}",
                f"CREATE TRIGGER {EVENT}_immutable BEFORE DELETE OR UPDATE OF version ON {EVENT} "
                f"FOR EACH ROW EXECUTE FUNCTION {EVENT}_refuse()",
                f"ALTER TABLE {EVENT} ENABLE ALWAYS TRIGGER {EVENT}_immutable",
            ],
            f"{EVENT}_immutable of {EVENT} is not as it is made today",
        ),
    ],
    "mysql": [
        *(
            ([f"DROP TRIGGER {name}"], f"{name} is missing")
            for name in (
                f"{EVENT}_no_update",
                f"{EVENT}_no_delete",
                f"{POSITION}_no_update",
                f"{POSITION}_no_delete",
                f"{QUEUE}_no_update",
            )
        ),
        (
            [
                f"DROP TRIGGER {EVENT}_no_update",
                f"CREATE TRIGGER {EVENT}_no_update BEFORE UPDATE ON {EVENT} FOR EACH ROW SET @a = 1",
            ],
            f"{EVENT}_no_update is not as it is made today",
        ),
        (["DROP TABLE rill_django_seal"], f"TRUNCATE can empty {EVENT}"),
        (
            [f"ALTER TABLE rill_django_seal DROP FOREIGN KEY rill_django_seal_of_{POSITION}"],
            f"TRUNCATE can empty {POSITION}",
        ),
    ],
}[connection.vendor]


def execute(*statements, using=None):
    with (using or connection).cursor() as cursor:
        for statement in statements:
            cursor.execute(statement)


def faults():
    return DjangoEventStore().faults_of_guards()


@pytest.fixture
def log():
    store = DjangoEventStore()
    store.append("contract.Thing/1", -1, new_events("a", "b"))
    store.head()
    return store


@pytest.fixture
def put_back():
    yield
    if connection.vendor == "mysql":
        dialect_of(connection).guards.put_up(connection)


def test_all_stands():
    assert faults() == []
    assert check_protection(None, databases=["default"]) == []
    assert check_protection(None) == []
    out = StringIO()
    call_command("protect_events", stdout=out)
    assert "refuses to change" in out.getvalue()


@pytest.mark.usefixtures("put_back")
@pytest.mark.parametrize(("statements", "said"), BREACHES, ids=[said for _, said in BREACHES])
def test_each_breach_is_told_and_mended(statements, said):
    execute(*statements)
    assert any(said in fault for fault in faults())
    warnings = check_protection(None, databases=["default"])
    assert {warning.id for warning in warnings} == {"rill.W008"}
    assert any(said in warning.msg for warning in warnings)
    assert "protect_events" in warnings[0].hint
    damage = verify(DjangoEventStore()).damage[Damage.UNPROTECTED]
    assert damage.count == len(warnings)
    out = StringIO()
    with pytest.raises(CommandError, match="The log can be changed"):
        call_command("protect_events", dry_run=True, stdout=out)
    assert said in out.getvalue()
    assert faults()
    call_command("protect_events", stdout=out)
    assert faults() == []
    assert Damage.UNPROTECTED not in verify(DjangoEventStore()).damage


@pytest.mark.usefixtures("put_back")
def test_the_commands_say_so(log, settings):
    execute(*BREACHES[0][0])
    out = StringIO()
    with pytest.raises(CommandError, match="damaged"):
        call_command("verify_events", stdout=out, verbosity=0)
    assert "unprotected: 1 × the database does not refuse to change the log" in out.getvalue()
    settings.RILL = {"UNKNOWN_EVENTS": "ignore"}
    err = StringIO()
    call_command("check", databases=["default"], stdout=err, stderr=err)
    assert "rill.W008" in err.getvalue()


def test_before_the_first_migration_there_is_nothing_to_guard(tmp_path):
    other = ConnectionHandler(
        {"default": {"ENGINE": "django.db.backends.sqlite3", "NAME": str(tmp_path / "empty")}}
    )["default"]
    with other.cursor() as cursor:
        assert dialect_of(other).guards.faults(cursor) == []
    other.close()


# --- dumps -----------------------------------------------------------------------------------


def beside(name, **changes):
    """A connection to another database of the same server."""
    settings = {**connection.settings_dict, "NAME": name, **changes}
    return ConnectionHandler({"default": settings})["default"]


def program(*names):
    found = next(filter(None, map(shutil.which, names)), None)
    return found or pytest.skip(f"there is no {names[0]} here")


def pg_dump_for(server_version):
    """It reads servers of its own version and older ones."""
    found = program("pg_dump")
    told = subprocess.run([found, "--version"], check=True, capture_output=True, text=True).stdout
    if int(re.search(r"(\d+)", told)[1]) < server_version // 10_000:
        pytest.skip(f"{told.strip()} is older than the server")
    return found


@pytest.mark.skipif("connection.vendor == 'sqlite'", reason="SQLite's backup is the file")
@pytest.mark.django_db(transaction=True)
def test_a_dump_takes_the_guards_along(log):
    at = connection.settings_dict
    name = f"{at['NAME']}_restored"
    if connection.vendor == "postgresql":
        # Where the connection is: the settings may name a socket's folder among other options.
        server = connection.connection.info
        where = [f"--host={server.host}", f"--port={server.port}", f"--username={server.user}"]
        environment = {**os.environ, "PGPASSWORD": at["PASSWORD"] or ""}
        dump, restore = (
            [pg_dump_for(connection.pg_version), *where, at["NAME"]],
            [program("psql"), "-qX", *where, name],
        )
    else:
        where = [f"--{what}={at[key]}" for what, key in SERVER if at[key]]
        environment = {**os.environ, "MYSQL_PWD": at["PASSWORD"] or ""}
        dump = [program("mysqldump", "mariadb-dump"), *where, at["NAME"]]
        restore = [program("mysql", "mariadb"), *where, name]
    execute(f"DROP DATABASE IF EXISTS {name}")
    execute(f"CREATE DATABASE {name}")
    other = beside(name)
    try:
        dumped = subprocess.run(dump, env=environment, check=True, capture_output=True).stdout
        subprocess.run(
            restore, env=environment, check=True, input=dumped, stdout=subprocess.DEVNULL
        )
        with other.cursor() as cursor:
            cursor.execute(f"SELECT count(*) FROM {EVENT}")
            assert cursor.fetchone()[0] == 2
            assert dialect_of(other).guards.faults(cursor) == []
    finally:
        other.close()
        execute(f"DROP DATABASE {name}")


SERVER = [
    ("host", "HOST"),
    ("port", "PORT"),
    ("username" if connection.vendor == "postgresql" else "user", "USER"),
]
