"""The database itself refuses to change the log, also to raw SQL."""

import pytest
from django.db import DatabaseError, connection, transaction

from rill_django.models import Event, Position, Unsequenced
from rill_django.store.orm import DjangoEventStore
from rill_django.testing.contracts import names_of, new_events

pytestmark = pytest.mark.django_db

EVENT, POSITION, QUEUE = "rill_django_event", "rill_django_position", "rill_django_unsequenced"
COLUMNS = "stream, version, type, data, metadata, recorded_at"
SAME = f"SELECT id, {COLUMNS} FROM {EVENT}"

EVERYWHERE = [
    f"UPDATE {EVENT} SET data = '{{}}'",
    f"UPDATE {EVENT} SET version = 7 WHERE version = 1",
    f"UPDATE {EVENT} SET id = id + 100",
    f"DELETE FROM {EVENT}",
    f"DELETE FROM {EVENT} WHERE version = 1",
    f"UPDATE {POSITION} SET position = position + 100",
    f"UPDATE {POSITION} SET event_id = event_id + 100",
    f"DELETE FROM {POSITION} WHERE position = 1",
    f"DELETE FROM {POSITION}",
    f"UPDATE {QUEUE} SET event_id = event_id + 100",
]
OF = {
    "sqlite": [
        f"REPLACE INTO {EVENT} (id, {COLUMNS}) {SAME}",
        f"INSERT OR REPLACE INTO {EVENT} (id, {COLUMNS}) {SAME}",
        f"REPLACE INTO {EVENT} ({COLUMNS}) SELECT {COLUMNS} FROM {EVENT}",
        f"INSERT OR REPLACE INTO {EVENT} (id, {COLUMNS}) "
        f"SELECT id + 50, {COLUMNS} FROM {EVENT} WHERE version = 0",
        f"UPDATE OR REPLACE {EVENT} SET version = 1",
        f"UPDATE OR IGNORE {EVENT} SET version = 9 WHERE version = 1",
        f"INSERT INTO {EVENT} (id, {COLUMNS}) {SAME} WHERE true "
        "ON CONFLICT (id) DO UPDATE SET data = '{}'",
        f"INSERT INTO {EVENT} ({COLUMNS}) SELECT {COLUMNS} FROM {EVENT} WHERE true "
        "ON CONFLICT (stream, version) DO UPDATE SET data = '{}'",
        f"REPLACE INTO {POSITION} (position, event_id) SELECT position, event_id FROM {POSITION}",
        f"REPLACE INTO {POSITION} (position, event_id) SELECT 77, event_id FROM {POSITION} LIMIT 1",
        f"INSERT OR REPLACE INTO {POSITION} (position, event_id) VALUES (1, 99999)",
    ],
    "postgresql": [
        f"TRUNCATE {EVENT}",
        f"TRUNCATE {EVENT} RESTART IDENTITY CASCADE",
        f"TRUNCATE {POSITION}",
        f"TRUNCATE {QUEUE}",
        f"TRUNCATE {EVENT}, {POSITION}, {QUEUE}",
        f"SET LOCAL session_replication_role = replica; DELETE FROM {EVENT}",
        f"SET LOCAL session_replication_role = replica; UPDATE {POSITION} SET position = 9 "
        "WHERE position = 1",
        f"SET LOCAL session_replication_role = replica; TRUNCATE {EVENT}",
        f"SET LOCAL rill_django.flushing = 'on'; TRUNCATE {EVENT}",
        f"INSERT INTO {EVENT} (id, {COLUMNS}) {SAME} ON CONFLICT (id) DO UPDATE SET data = '{{}}'",
        f"INSERT INTO {EVENT} ({COLUMNS}) SELECT {COLUMNS} FROM {EVENT} "
        "ON CONFLICT (stream, version) DO UPDATE SET data = '{}'",
        f"WITH gone AS (DELETE FROM {EVENT} RETURNING id) SELECT * FROM gone",
        f"MERGE INTO {EVENT} e USING {POSITION} p ON p.event_id = e.id WHEN MATCHED THEN DELETE",
    ],
    "mysql": [
        f"REPLACE INTO {EVENT} (id, {COLUMNS}) {SAME}",
        f"REPLACE INTO {EVENT} ({COLUMNS}) SELECT {COLUMNS} FROM {EVENT}",
        f"INSERT INTO {EVENT} (id, {COLUMNS}) {SAME} ON DUPLICATE KEY UPDATE data = '{{}}'",
        f"REPLACE INTO {POSITION} (position, event_id) SELECT position, event_id FROM {POSITION}",
        f"REPLACE INTO {POSITION} (position, event_id) VALUES (1, 99999)",
        f"UPDATE IGNORE {EVENT} SET version = 9 WHERE version = 1",
        f"DELETE IGNORE FROM {EVENT}",
        f"DELETE QUICK FROM {POSITION}",
        f"DELETE e, p FROM {EVENT} e JOIN {POSITION} p ON p.event_id = e.id",
        f"UPDATE {EVENT} e JOIN {POSITION} p ON p.event_id = e.id SET e.version = 9, p.position = 9 "
        "WHERE e.version = 1",
    ],
}


def content():
    return [list(model.objects.order_by("pk").values()) for model in (Event, Position, Unsequenced)]


@pytest.fixture
def store():
    store = DjangoEventStore()
    store.append("contract.Thing/1", -1, new_events("a", "b"))
    assert store.head() == 2
    with connection.cursor() as cursor:  # One that waits, on SQLite too.
        cursor.execute(f"INSERT INTO {QUEUE} (event_id) VALUES (99999)")
    return store


@pytest.mark.parametrize("statement", EVERYWHERE + OF[connection.vendor])
def test_raw_sql_is_refused_with_a_clear_error(store, statement):
    if "MERGE" in statement and connection.pg_version < 170000:
        statement = (
            f"MERGE INTO {EVENT} e USING {POSITION} p ON p.event_id = e.id WHEN MATCHED THEN DELETE"
        )
    before = content()
    with (
        pytest.raises(DatabaseError, match="events are facts, they are never changed or deleted"),
        transaction.atomic(),
        connection.cursor() as cursor,
    ):
        cursor.execute(statement)
    assert content() == before
    assert names_of(store.load("contract.Thing/1")) == ["a", "b"]


@pytest.mark.skipif(
    "connection.vendor != 'mysql'", reason="others have triggers for it, or no TRUNCATE"
)
@pytest.mark.django_db(transaction=True)
@pytest.mark.parametrize("table", [EVENT, POSITION, QUEUE])
@pytest.mark.parametrize("flag", ["", "SET @rill_django_flushing = 1"])
def test_tables_cannot_be_truncated_nor_is_there_a_word_for_it(store, table, flag):
    before = content()
    with connection.cursor() as cursor:
        if flag:
            cursor.execute(flag)
        with pytest.raises(DatabaseError, match="foreign key constraint"):
            cursor.execute(f"TRUNCATE {table}")
        with pytest.raises(DatabaseError, match="events are facts"):
            cursor.execute(f"DELETE FROM {EVENT}")
    assert content() == before
    with connection.cursor() as cursor:
        cursor.execute(f"DELETE FROM {QUEUE}")


MODELS = [Event, Position, Unsequenced]


@pytest.mark.parametrize("model", [Event, Position], ids=lambda model: model.__name__)
@pytest.mark.parametrize(
    "attempt",
    [
        lambda model: model._base_manager.all()._raw_delete(using="default"),
        lambda model: model._base_manager.all().delete(),
        lambda model: model._base_manager.update(**{"version" if model is Event else "event": 7}),
        lambda model: model._base_manager.bulk_update(
            list(model._base_manager.all()), ["version" if model is Event else "event"]
        ),
        lambda model: model._base_manager.bulk_create(
            list(model._base_manager.all()),
            update_conflicts=True,
            update_fields=["version" if model is Event else "event"],
            **({} if connection.vendor == "mysql" else {"unique_fields": ["pk"]}),
        ),
    ],
    ids=["_raw_delete", "delete", "update", "bulk_update", "bulk_create"],
)
def test_the_orms_ways_round_the_model_are_refused_too(store, model, attempt):
    before = content()
    with (
        pytest.raises(DatabaseError, match=r"vents are facts|protected foreign keys"),
        transaction.atomic(),
    ):
        attempt(model)
    assert content() == before


def test_an_upsert_that_finds_nothing_to_update_inserts(store):
    """As Django does for fixtures; PostgreSQL's trigger is asked for each row."""
    if connection.vendor == "mysql":
        end = "ON DUPLICATE KEY UPDATE type = 'x'"
    else:
        end = "ON CONFLICT (id) DO UPDATE SET type = 'x'"
    with connection.cursor() as cursor:
        cursor.execute(f"UPDATE {EVENT} SET type = 'x' WHERE id = -1")
        cursor.execute(f"DELETE FROM {EVENT} WHERE id = -1")
        cursor.execute(
            f"INSERT INTO {EVENT} (id, {COLUMNS}) "
            f"SELECT id + 1000, 'new', {COLUMNS.partition(', ')[2]} FROM {EVENT} "
            f"WHERE version = 0 {end}"
        )
    assert Event.objects.filter(stream="new").exists()


assert connection  # for the conditions of skipif
