"""Whatever stands in the tables, a verification comes to an end and says what is wrong."""

from datetime import timedelta
from io import StringIO

import pytest
from django.core.management import CommandError, call_command
from django.db import connection
from django.utils import timezone

from rill_django.integrity import verification
from rill_django.integrity.findings import Damage
from rill_django.integrity.verification import Whole, verify
from rill_django.projections.checkpoint import Checkpoint
from rill_django.projections.status import projection_statuses
from rill_django.projections.worker import catch_up
from rill_django.store.orm import DjangoEventStore
from rill_django.store.protocol import LAST_POSITION, NoPositionLeft
from rill_django.store.tables import Answer, Event, StoredType
from tests.bank.domain import Account
from tests.bank.models import Balance
from tests.integrity.logs import (
    POSITION,
    UNSEQUENCED,
    append,
    delete_position,
    guards_down,
    insert,
    insert_event,
    insert_position,
    opened,
    scalar,
    small_log,
    sql,
)

pytestmark = pytest.mark.django_db

on_sqlite = pytest.mark.skipif("connection.vendor != 'sqlite'", reason="others refuse such values")
on_postgresql = pytest.mark.skipif(
    "connection.vendor != 'postgresql'", reason="others cannot undo such changes"
)
on_mysql = pytest.mark.skipif("connection.vendor != 'mysql'", reason="others have no such values")
not_on_sqlite = pytest.mark.skipif(
    "connection.vendor == 'sqlite'", reason="SQLite gives positions when it appends"
)


def damage():
    return {kind: (one.count, one.first) for kind, one in verify(DjangoEventStore()).damage.items()}


# --- positions ------------------------------------------------------------------------------


@pytest.mark.parametrize("position", [LAST_POSITION, 10**15])
def test_a_position_far_beyond_the_others(position):
    small_log(accounts=1)
    insert_position(insert_event("bank.Account/9", 0), position)
    assert damage() == {Damage.HOLE: (position - 4, "position 4")}


def test_gaps_between_positions_far_apart():
    for number in range(50):
        event = insert_event(f"bank.Account/{number}", 0)
        insert_position(event, 10**15 * (number + 1))
    (hole,) = damage().items()
    assert hole == (Damage.HOLE, (50 * 10**15 - 50, "position 1"))


@pytest.mark.parametrize("position", [0, -1, -(2**63)])
def test_positions_below_one(position):
    small_log(accounts=1)
    insert_position(insert_event("bank.Account/9", 0), position)
    assert damage() == {Damage.BELOW_ONE: (1, f"position {position:,}")}


def test_what_is_positioned_below_one_is_read_all_the_same():
    insert_position(insert_event("bank.Account/9", 0, data="[]"), -5)
    assert set(damage()) == {Damage.BELOW_ONE, Damage.PAYLOAD}


@on_postgresql
def test_what_is_there_twice():
    small_log(accounts=1)
    with connection.cursor() as cursor:
        constraints = connection.introspection.get_constraints(cursor, POSITION)
    for name, one in constraints.items():
        if one["unique"]:
            sql(f'ALTER TABLE {POSITION} DROP CONSTRAINT "{name}"')
    first, second, _third = Event.objects.order_by("id").values_list("id", flat=True)
    insert_position(first, 4)
    insert_position(second, 4)
    found = verify(DjangoEventStore()).damage
    assert found[Damage.DOUBLE].count == 3
    assert f"event id {first} is there 2 times" in [
        what for _, what in found[Damage.DOUBLE].examples
    ]
    assert "position 4 is there 2 times" in [what for _, what in found[Damage.DOUBLE].examples]


@on_postgresql
def test_versions_that_are_there_twice():
    small_log(accounts=1)
    sql("ALTER TABLE rill_django_event DROP CONSTRAINT rill_django_event_stream_version")
    insert("bank.Account/0", 1, type="bank.Account.deposited", data='{"number":"0","amount":"1"}')
    assert damage()[Damage.VERSIONS] == (1, "bank.Account/0 has version 1 twice")


@on_postgresql
@pytest.mark.parametrize("version", [-1, -(2**31), 2**31 - 1])
def test_versions_at_the_ends(version):
    small_log(accounts=1)
    sql("ALTER TABLE rill_django_event DROP CONSTRAINT rill_django_event_version_check")
    insert("bank.Account/9", version)
    insert("bank.Account/9", 2**31 - 2)
    assert Damage.VERSIONS in damage()
    assert Damage.CHECK not in damage()


# --- rows that a database should not hold ----------------------------------------------------


@on_sqlite
@pytest.mark.parametrize(
    ("columns", "kind", "said"),
    [
        ({"recorded_at": "long ago"}, Damage.ROW, "recorded_at"),
        ({"recorded_at": "0000-00-00 00:00:00"}, Damage.ROW, "recorded_at"),
        ({"recorded_at": "12024-05-31 12:00:00"}, Damage.ROW, "recorded_at"),
        ({"recorded_at": 5}, Damage.ROW, "recorded_at"),
        ({"version": "first"}, Damage.ROW, "version"),
        ({"version": 0.5}, Damage.ROW, "version"),
        ({"version": b"0"}, Damage.ROW, "version"),
        ({"version": 2**63 - 1}, Damage.VERSIONS, "has no version 0"),
        ({"type": b"\xff\xfe"}, Damage.ROW, "type"),
        ({"type": "t" * 300}, Damage.TYPE, "255"),
        ({"type": ""}, Damage.TYPE, "255"),
    ],
)
def test_wrong_values_in_columns(columns, kind, said):
    small_log(accounts=1)
    columns = {"version": 0, "type": "bank.Account.opened", **columns}
    insert_wrongly("bank.Account/8", **columns)
    insert("bank.Account/9", 0, data="[]")  # It does not hide what is behind it.
    found = damage()
    assert said in found[kind][1]
    assert found[Damage.PAYLOAD][0] == 1
    assert Damage.CHECK not in found


@on_sqlite
@pytest.mark.parametrize(
    "text", ["CAST(x'ff22' AS TEXT)", "x'7b7d'", "5", "1.5", "'{'", "'7'", "''", "'{\"a\": NaN}'"]
)
@pytest.mark.parametrize("column", ["data", "metadata"])
def test_wrong_texts(column, text):
    sql("PRAGMA ignore_check_constraints = ON")
    try:
        small_log(accounts=1)
        texts = {"data": '\'{"number":"8","owner":"Ann"}\'', "metadata": "'{}'", column: text}
        sql(
            "INSERT INTO rill_django_event (stream, version, type, data, metadata, recorded_at) VALUES "
            f"('bank.Account/8', 0, 'bank.Account.opened', {texts['data']}, {texts['metadata']}, "
            "'2024-05-31 12:00:00')"
        )
        insert_position(scalar("SELECT max(id) FROM rill_django_event"))
        insert("bank.Account/9", 0, data="[]")
        found = damage()
    finally:
        sql("PRAGMA ignore_check_constraints = OFF")
    assert found.keys() & {Damage.ROW, Damage.PAYLOAD, Damage.METADATA}
    assert any("bank.Account/9" in first for _count, first in found.values()) or (
        found[Damage.PAYLOAD][0] == 2
    )


@on_sqlite
@pytest.mark.parametrize("stream", ["CAST(x'ff' AS TEXT)", "x'00'", "5", "''"])
def test_wrong_names_of_streams(stream):
    small_log(accounts=1)
    sql(
        "INSERT INTO rill_django_event (stream, version, type, data, metadata, recorded_at) VALUES "
        f"({stream}, 0, 'bank.Account.opened', '{{}}', '{{}}', '2024-05-31 12:00:00')"
    )
    insert_position(scalar("SELECT max(id) FROM rill_django_event"))
    assert damage().keys() & {Damage.ROW, Damage.STREAM}


@on_postgresql
@pytest.mark.parametrize(
    "time",
    ["infinity", "-infinity", "0044-03-15 BC", "0001-01-01 BC", "12024-05-31", "294276-01-01"],
)
def test_times_that_python_has_not(time):
    small_log(accounts=1)
    insert("bank.Account/8", 0, recorded_at=time)
    insert("bank.Account/9", 0, data="[]")
    found = damage()
    assert "recorded_at" in found[Damage.ROW][1]
    assert found[Damage.PAYLOAD][0] == 1


@on_mysql
def test_a_time_of_zeros():
    mode = scalar("SELECT @@SESSION.sql_mode")
    small_log(accounts=1)
    sql("SET SESSION sql_mode = ''")
    try:
        insert("bank.Account/8", 0, recorded_at="0000-00-00 00:00:00")
        insert("bank.Account/9", 0, data="[]")
    finally:
        sql("SET SESSION sql_mode = %s", mode)
    found = damage()
    assert "recorded_at" in found[Damage.ROW][1]
    assert found[Damage.PAYLOAD][0] == 1


@on_mysql
@pytest.mark.skipif("not getattr(connection, 'mysql_is_mariadb', False)", reason="about MariaDB")
@pytest.mark.parametrize("text", ["{", "", "nonsense"])
def test_texts_that_are_no_json(text):
    small_log(accounts=1)
    sql("SET SESSION check_constraint_checks = 0")
    try:
        insert("bank.Account/8", 0, data=text)
        insert("bank.Account/9", 0, metadata=text)
    finally:
        sql("SET SESSION check_constraint_checks = 1")
    found = damage()
    assert found[Damage.PAYLOAD][0] == 1
    assert found[Damage.METADATA][0] == 1


def insert_wrongly(stream, *, version, type, recorded_at="2024-05-31 12:00:00"):
    data = '{"number":"8","owner":"Ann"}'
    sql(
        "INSERT INTO rill_django_event (stream, version, type, data, metadata, recorded_at) "
        "VALUES (%s, %s, %s, %s, %s, %s)",
        *(stream, version, type, data, "{}", recorded_at),
    )
    insert_position(scalar("SELECT max(id) FROM rill_django_event"))


# --- answers and checkpoints -----------------------------------------------------------------

DIGEST = "a" * 64


@pytest.mark.parametrize(
    ("values", "said"),
    [
        ({"command": "?"}, "digest"),
        ({"command": ""}, "digest"),
        ({"answer": b""}, "cannot be read"),
        ({"answer": b"\xff"}, "cannot be read"),
        ({"answer": b"[]"}, "cannot be read"),
        ({"answer": b"{}"}, "version"),
        ({"answer": b'{"version":"x"}'}, "version"),
        ({"answer": b"[" * 100_000}, "cannot be read"),
    ],
)
def test_answers(values, said):
    lasting = {"command": DIGEST, "expires_at": timezone.now() + timedelta(days=1)}
    Answer.objects.create(key="good", answer=b'{"version":3}', **lasting)
    Account.open.transact("1", "Ann", idempotency_key="real").unwrap()
    assert damage() == {}
    Answer.objects.create(key="bad", **{"answer": b'{"version":3}', **lasting, **values})
    ((kind, (count, first)),) = damage().items()
    assert (kind, count) == (Damage.ANSWER, 1)
    assert "'bad'" in first
    assert said in first


@on_sqlite
@pytest.mark.parametrize("answer", [5, 2**62, 1.5, "text", None])
def test_an_answer_that_is_no_bytes(answer):
    sql(
        "INSERT INTO rill_django_answer (key, command, answer, expires_at) "
        "VALUES (%s, %s, coalesce(%s, ''), %s)",
        *("bad", DIGEST, answer, "2999-01-01 00:00:00"),
    )
    assert list(damage()) == [Damage.ANSWER]


@on_sqlite
@pytest.mark.parametrize("value", ["soon", 5, "0000-00-00 00:00:00"])
def test_an_answer_that_expires_at_no_time(value):
    sql(
        "INSERT INTO rill_django_answer (key, command, answer, expires_at) VALUES (%s, %s, %s, %s)",
        *("bad", DIGEST, b'{"version":3}', value),
    )
    assert list(damage()) == [Damage.ANSWER]


def test_many_answers_are_looked_at(monkeypatch):
    monkeypatch.setattr("rill_django.integrity.answers.AT_ONCE", 2)
    for number in range(7):
        Answer.objects.create(key=str(number), command="?", expires_at=timezone.now())
    assert damage()[Damage.ANSWER][0] == 7


@pytest.mark.parametrize(
    ("values", "said"),
    [
        ({"position": 10}, "it is at position 10, and the log ends at 9"),
        ({"position": LAST_POSITION}, "and the log ends at 9"),
        ({"position": -1}, "its position is -1"),
        (
            {"position": 9, "seen": "bank.Account/7@1"},
            "has seen bank.Account/7@1 at position 9, where there is bank.Account/2@2 now",
        ),
        ({"state": "confused"}, "its state is 'confused'"),
        ({"partition": 3, "partitions": 2}, "no partition 3 of 2"),
    ],
)
def test_checkpoints(values, said):
    small_log()
    Checkpoint.objects.create(name="good", position=9, seen="bank.Account/2@2")
    assert damage() == {}
    Checkpoint.objects.create(name="bad", **values)
    ((kind, (count, first)),) = damage().items()
    assert (kind, count) == (Damage.CHECKPOINT, 1)
    assert first.startswith("bad (default")
    assert said in first


@on_sqlite
@pytest.mark.parametrize(
    ("table", "column", "kind"),
    [
        ("rill_django_checkpoint", "partition", Damage.CHECKPOINT),
        ("rill_django_checkpoint", "name", Damage.CHECKPOINT),
        ("rill_django_checkpoint", "updated_at", Damage.CHECKPOINT),
        ("rill_django_storedtype", "category", Damage.STORED_TYPE),
        ("rill_django_storedtype", "version", Damage.STORED_TYPE),
        ("rill_django_position", "event_id", Damage.LOST_EVENT),
        ("rill_django_answer", "command", Damage.ANSWER),
        ("rill_django_answer", "key", Damage.ANSWER),
        ("rill_django_event", "version", Damage.ROW),
    ],
)
def test_bytes_that_are_no_text_hide_nothing_else(table, column, kind):
    Account.open.transact("1", "Ann", idempotency_key="key").unwrap()
    Checkpoint.objects.create(name="good", position=1)
    Checkpoint.objects.create(name="bad", position=99)
    insert("bank.Account/9", 0, data="[]")
    sql("PRAGMA ignore_check_constraints = ON")
    try:
        with guards_down():
            sql(f"UPDATE {table} SET {column} = CAST(x'fffe' AS TEXT) WHERE rowid = 1")
        found = damage()
    finally:
        sql("PRAGMA ignore_check_constraints = OFF")
    assert kind in found
    assert {Damage.PAYLOAD, Damage.CHECKPOINT} <= found.keys()
    assert Damage.CHECK not in found


def test_a_stored_type_without_an_event():
    small_log(accounts=1)
    StoredType.objects.create(category="x.Y", type="x.Y.z", stream="x.Y/1", version=3)
    (found,) = damage().items()
    assert found[0] is Damage.STORED_TYPE
    assert found[1][1].endswith("x.Y, x.Y.z: x.Y/1@3")


# --- the queue -------------------------------------------------------------------------------


@pytest.mark.django_db(transaction=True)
def test_an_old_event_in_the_queue_stops_nobody(caplog):
    Account.open.transact("1", "Ann").unwrap()
    catch_up()
    sql(
        f"INSERT INTO {UNSEQUENCED} (event_id) VALUES (%s)",
        scalar(f"SELECT event_id FROM {POSITION}"),
    )
    Account.open.transact("2", "Bob").unwrap()
    catch_up()
    assert Balance.objects.count() == 2
    assert [one.lag for one in projection_statuses()] == [0 for _ in projection_statuses()]
    assert damage() == {}
    assert scalar(f"SELECT count(*) FROM {UNSEQUENCED}") == 0
    if connection.vendor != "sqlite":
        assert "queued them by hand" in caplog.text


@pytest.mark.django_db(transaction=True)
@pytest.mark.parametrize("work", ["verify", "head", "sequence", "read", "status", "append"])
def test_each_survives_it_by_itself(work):
    small_log()
    sql(
        f"INSERT INTO {UNSEQUENCED} (event_id) VALUES (%s)",
        scalar(f"SELECT min(event_id) FROM {POSITION}"),
    )
    store = DjangoEventStore()
    {
        "verify": damage,
        "head": store.head,
        "sequence": store.sequence,
        "read": lambda: list(store.read().stored()),
        "status": projection_statuses,
        "append": lambda: append("bank.Account/77", opened(77)),
    }[work]()
    assert store.head() == (10 if work == "append" else 9)
    assert damage() == {}


@pytest.mark.django_db(transaction=True)
def test_what_waits_without_an_event_stops_nobody():
    small_log()
    sql(f"INSERT INTO {UNSEQUENCED} (event_id) VALUES (999999999)")
    append("bank.Account/77", opened(77))
    store = DjangoEventStore()
    store.head()
    append("bank.Account/78", opened(78))
    assert len(list(store.read().stored())) == 11
    assert damage().keys() == {Damage.LOST_EVENT}


@pytest.mark.django_db(transaction=True)
@not_on_sqlite
def test_the_highest_position_stops_nobody_who_reads(caplog):
    small_log(accounts=1)
    catch_up()
    insert_position(insert_event("bank.Account/8", 0), LAST_POSITION)
    Account.open.transact("9", "Ann").unwrap()
    store = DjangoEventStore()
    assert store.head() == LAST_POSITION
    assert len(list(store.read().stored())) == 4
    assert projection_statuses()
    assert store.sequence() == LAST_POSITION
    assert "there is none: somebody has written it by hand" in caplog.text
    assert damage().keys() == {Damage.HOLE}
    delete_position(LAST_POSITION)
    assert store.head() == 4


@pytest.mark.django_db(transaction=True)
@on_sqlite
def test_the_highest_position_refuses_appends_in_words():
    small_log(accounts=1)
    insert_position(insert_event("bank.Account/8", 0), LAST_POSITION)
    with pytest.raises(NoPositionLeft, match="verify_events"):
        Account.open.transact("9", "Ann")
    assert damage().keys() == {Damage.HOLE}


@pytest.mark.django_db(transaction=True)
def test_a_position_that_lost_its_event_does_not_keep_new_ones_from_theirs():
    small_log(accounts=1)
    insert_position(999_999_999)
    append("bank.Account/8", opened(8))
    assert DjangoEventStore().head() == 5
    assert damage().keys() == {Damage.LOST_EVENT}


# --- the report ------------------------------------------------------------------------------


@pytest.mark.django_db(transaction=True)
@pytest.mark.parametrize("workers", [1, 2])
def test_the_report_is_short_and_counts_everything(workers):
    small_log()
    for number in range(30):
        insert(f"bank.Account/a{number:02}", 7, data="[]")
    insert_position(insert_event("bank.Account/9", 0), LAST_POSITION)
    out = StringIO()
    with pytest.raises(CommandError, match="damaged"):
        call_command("verify_events", workers=workers, stdout=out, stderr=StringIO())
    lines = out.getvalue().splitlines()
    assert len(lines) < 30
    assert any(line.startswith("payload: 30 ×") for line in lines)
    assert any(line.startswith("version-gap: 30 ×") for line in lines)
    assert any(line.startswith(f"position-missing: {LAST_POSITION - 40:,} ×") for line in lines)
    assert "  … and 25 more" in lines


def test_a_check_that_fails_is_told_and_the_others_go_on(monkeypatch):
    def fails(store, findings):
        raise ZeroDivisionError("oh")

    monkeypatch.setitem(verification._CHECKS, Whole.ORDER, fails)
    small_log(accounts=1)
    insert("bank.Account/9", 0, data="[]")
    found = damage()
    assert found[Damage.CHECK] == (1, "order: ZeroDivisionError: oh")
    assert Damage.PAYLOAD in found
