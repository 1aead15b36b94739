"""One account owns the tables, another works with them: the set-up of docs/integrity.md, as it stands."""

import re
from pathlib import Path

import pytest
from django.core.management import call_command
from django.db import DatabaseError, connection

from rill_django.models import Event, Position
from rill_django.projections.worker import catch_up
from rill_django.store.orm import DjangoEventStore
from tests.bank.domain import Account
from tests.bank.models import Balance

pytestmark = [
    pytest.mark.django_db(transaction=True),
    pytest.mark.skipif("connection.vendor == 'sqlite'", reason="SQLite has no accounts"),
]

EVENT, POSITION, QUEUE = "rill_django_event", "rill_django_position", "rill_django_unsequenced"

DENIED = {
    "postgresql": r"permission denied|must be owner",
    "mysql": r"command denied|Access denied",
}.get(connection.vendor, "")

ATTEMPTS = [
    *(f"UPDATE {table} SET event_id = event_id" for table in (POSITION, QUEUE)),
    f"UPDATE {EVENT} SET version = version",
    *(f"DELETE FROM {table}" for table in (EVENT, POSITION)),
    *(f"TRUNCATE {table}" for table in (EVENT, POSITION, QUEUE)),
    *(f"DROP TABLE {table}" for table in (EVENT, POSITION, QUEUE)),
    *{
        "postgresql": [
            f"ALTER TABLE {EVENT} DISABLE TRIGGER ALL",
            f"DROP TRIGGER {EVENT}_immutable ON {EVENT}",
            "SET session_replication_role = replica",
            f"CREATE OR REPLACE FUNCTION {EVENT}_refuse() RETURNS trigger LANGUAGE plpgsql "
            "AS $$ BEGIN RETURN NEW; END $$",
            f"DROP FUNCTION {EVENT}_refuse CASCADE",
        ],
        "mysql": [
            f"DROP TRIGGER {EVENT}_no_update",
            "DROP TABLE rill_django_seal",
            f"REPLACE INTO {POSITION} (position, event_id) VALUES (1, 7)",
        ],
    }.get(connection.vendor, []),
]


def documented(account):
    """Return the statements of the documentation for this kind of database, for an account."""
    text = (Path(__file__).parent.parent.parent / "docs/integrity.md").read_text()
    first = {"postgresql": "CREATE ROLE", "mysql": "CREATE USER"}[connection.vendor]
    (block,) = (one for one in re.findall(r"```sql\n(.*?)```", text, re.S) if one.startswith(first))
    block = re.sub("(?m)^--.*\n", "", block).replace("bank_app", account)
    return [one.strip() for one in block.split(";") if one.strip()]


@pytest.fixture
def as_app():
    """The connection, as the other account."""
    account = f"app_{connection.settings_dict['NAME']}"[:32]
    removal = {
        "postgresql": [f"DROP OWNED BY {account}", f"DROP ROLE {account}"],
        "mysql": [f"DROP USER {account}@'%'"],
    }[connection.vendor]
    if exists(account):
        execute(*removal)
    for statement in documented(account):
        execute(*(row[0] for row in execute(statement)))
    before = dict(connection.settings_dict)
    connection.close()
    connection.settings_dict.update(USER=account, PASSWORD="secret")
    try:
        yield account
    finally:
        connection.close()
        connection.settings_dict.update(before)
        execute(*removal)


def exists(account):
    roles = {
        "postgresql": "SELECT 1 FROM pg_roles WHERE rolname = %s",
        "mysql": "SELECT 1 FROM mysql.user WHERE user = %s",
    }[connection.vendor]
    with connection.cursor() as cursor:
        cursor.execute(roles, (account,))
        return bool(cursor.fetchall())


def execute(*statements):
    with connection.cursor() as cursor:
        for statement in statements:
            cursor.execute(statement)
        return cursor.fetchall() if statements and cursor.description else []


def test_the_account_can_do_its_work_and_cannot_change_the_log(as_app):
    who = "current_user" if connection.vendor == "postgresql" else "SUBSTRING_INDEX(USER(), '@', 1)"
    assert execute(f"SELECT {who}") in ([(as_app,)], ((as_app,),))
    for number in range(3):
        Account.open.transact(str(number), "Ann", idempotency_key=f"k{number}").unwrap()
        Account.deposit.transact(str(number), 5).unwrap()
    assert DjangoEventStore().head() == 6
    catch_up()
    assert Balance.objects.count() == 3
    call_command("verify_events", verbosity=0)
    assert DjangoEventStore().faults_of_guards() == []
    before = [list(model.objects.order_by("pk").values()) for model in (Event, Position)]
    for attempt in ATTEMPTS:
        with pytest.raises(DatabaseError, match=DENIED):
            execute(attempt)
    assert [list(model.objects.order_by("pk").values()) for model in (Event, Position)] == before
