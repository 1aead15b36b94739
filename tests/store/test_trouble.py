"""Which errors of databases pass by themselves: real errors of real databases."""

import sqlite3

import pytest
from django.db import DatabaseError, IntegrityError, OperationalError, connection, transaction

from rill_django.store.trouble import Trouble, trouble_of
from tests.bank.models import Balance, Sample

pytestmark = pytest.mark.django_db


def error_of(work):
    with pytest.raises(DatabaseError) as found, transaction.atomic():
        work()
    return found.value


def execute(sql, *parameters):
    with connection.cursor() as cursor:
        cursor.execute(sql, parameters or None)


STATES = {
    Trouble.OTHERS: ["40001", "40P01", "53300", "55P03", "55006", "72000"],
    Trouble.TOO_LONG: ["57014"],
    Trouble.SERVER: [
        *("08000", "08006", "25006", "25P03", "26000", "28000", "28P01", "3D000", "42P05"),
        *("53000", "53100", "53200", "53400", "57P01", "57P02", "57P03", "58000", "58030"),
    ],
    Trouble.SCHEMA: ["3F000", "42501", "42703", "42P01"],
    None: [
        *("0A000", "21000", "22001", "22003", "22012", "22023", "22P02", "23502", "23503", "23505"),
        *("23514", "23P01", "25P02", "42601", "42804", "42883", "54000", "P0001", "XX000"),
    ],
}
NUMBERS = {
    Trouble.OTHERS: [1020, 1040, 1203, 1205, 1206, 1213],
    Trouble.TOO_LONG: [1317, 1969, 3024],
    Trouble.SERVER: [1021, 1030, 1041, 1045, 1053, 1114, 1180, 1290, 1792, 1836, 1927],
    Trouble.SCHEMA: [1054, 1142, 1146],
    None: [1048, 1062, 1064, 1264, 1305, 1365, 1366, 1406, 1451, 1452, 1644, 3819, 4025],
}


def flat(found):
    return [(kind, code) for kind, codes in found.items() for code in codes]


@pytest.mark.skipif("connection.vendor != 'postgresql'", reason="about PostgreSQL")
@pytest.mark.parametrize(("kind", "state"), flat(STATES))
def test_states_of_postgresql(kind, state):
    error = error_of(
        lambda: execute(f"DO $$ BEGIN RAISE EXCEPTION 'no' USING ERRCODE = '{state}'; END $$")
    )
    assert trouble_of(error) is kind


@pytest.mark.skipif("connection.vendor != 'mysql'", reason="about MySQL and MariaDB")
@pytest.mark.parametrize(("kind", "number"), flat(NUMBERS))
def test_numbers_of_mysql(kind, number):
    error = error_of(
        lambda: execute(f"SIGNAL SQLSTATE 'HY000' SET MYSQL_ERRNO = {number}, MESSAGE_TEXT = 'no'")
    )
    assert trouble_of(error) is kind


def sqlite_error(work, tmp_path, *, uri=None):
    path = tmp_path / "one.sqlite3"
    one = sqlite3.connect(path, isolation_level=None)
    one.execute("CREATE TABLE t (x BLOB UNIQUE)")
    other = sqlite3.connect(uri or path, isolation_level=None, timeout=0, uri=bool(uri))
    try:
        with pytest.raises(sqlite3.Error) as found:
            work(one, other)
    finally:
        one.close()
        other.close()
    return found.value


def locked(one, other):
    one.execute("BEGIN IMMEDIATE")
    other.execute("BEGIN IMMEDIATE")


def changed_meanwhile(one, other):
    one.execute("PRAGMA journal_mode = WAL")
    other.execute("BEGIN")
    other.execute("SELECT * FROM t").fetchall()
    one.execute("INSERT INTO t VALUES (1)")
    other.execute("INSERT INTO t VALUES (2)")


def read_only(one, other):
    one.execute("PRAGMA query_only = 1")
    one.execute("INSERT INTO t VALUES (1)")


def full(one, other):
    one.execute("PRAGMA max_page_count = 1")
    one.execute("INSERT INTO t VALUES (randomblob(1000000))")


def interrupted(one, other):
    one.set_progress_handler(lambda: 1, 1)
    one.execute("SELECT * FROM t, t AS u").fetchall()


def cannot_open(one, other):
    sqlite3.connect("/nowhere/at/all.sqlite3").execute("SELECT 1")


def no_table(one, other):
    one.execute("SELECT * FROM nowhere")


def no_column(one, other):
    one.execute("SELECT absent FROM t")


def no_column_to_fill(one, other):
    one.execute("INSERT INTO t (absent) VALUES (1)")


def twice(one, other):
    one.execute("INSERT INTO t VALUES (1), (1)")


def no_function(one, other):
    one.execute("SELECT absent()")


def no_syntax(one, other):
    one.execute("SELEKT 1")


@pytest.mark.parametrize(
    ("kind", "work"),
    [
        (Trouble.OTHERS, locked),
        (Trouble.OTHERS, changed_meanwhile),
        (Trouble.SERVER, read_only),
        (Trouble.SERVER, full),
        (Trouble.SERVER, cannot_open),
        (Trouble.TOO_LONG, interrupted),
        (Trouble.SCHEMA, no_table),
        (Trouble.SCHEMA, no_column),
        (Trouble.SCHEMA, no_column_to_fill),
        (None, twice),
        (None, no_function),
        (None, no_syntax),
    ],
)
@pytest.mark.parametrize("has_codes", [True, False])
def test_results_of_sqlite(kind, work, has_codes, tmp_path):
    error = sqlite_error(work, tmp_path)
    if not has_codes:  # As in Python 3.10.
        error = type(error)(str(error))
    assert trouble_of(error) is kind


def too_long():
    Sample.objects.create(number="1", text="x" * 11)


def too_large():
    Sample.objects.create(number="1", amount=10**9)


def taken():
    Balance.objects.create(number="1", owner="Ann")
    Balance.objects.bulk_create([Balance(number="1", owner="Bob")])


def nothing_there():
    Balance.objects.bulk_create([Balance(number="1", owner=None)])


def by_zero():
    execute("SELECT 1 / 0" if connection.vendor == "postgresql" else "SELEKT 1")


@pytest.mark.parametrize("work", [too_long, too_large, taken, nothing_there, by_zero])
def test_what_is_wrong_with_data_does_not_pass(work):
    if connection.vendor == "sqlite" and work in (too_long, too_large):
        pytest.skip("SQLite takes it")
    assert trouble_of(error_of(work)) is None


def test_a_table_or_column_that_is_not_there():
    assert trouble_of(error_of(lambda: execute("SELECT * FROM nowhere"))) is Trouble.SCHEMA
    error = error_of(lambda: execute("SELECT absent FROM bank_balance"))
    assert trouble_of(error) is Trouble.SCHEMA


def test_it_is_found_behind_other_errors():
    error = error_of(lambda: execute("SELECT * FROM nowhere"))

    def wrapped(**how):
        try:
            try:
                raise error
            except DatabaseError as cause:
                if how["is_from"]:
                    raise ValueError("no") from cause
                raise ValueError("no")  # noqa: B904 - as people write it
        except ValueError as found:
            return found

    assert trouble_of(wrapped(is_from=True)) is Trouble.SCHEMA
    assert trouble_of(wrapped(is_from=False)) is Trouble.SCHEMA
    silent = wrapped(is_from=False)
    silent.__suppress_context__ = True
    assert trouble_of(silent) is None
    silent.__cause__ = silent
    assert trouble_of(silent) is None


def test_errors_without_a_driver():
    assert trouble_of(OperationalError("gone")) is Trouble.SERVER
    assert trouble_of(IntegrityError("no")) is None
    assert trouble_of(DatabaseError("no")) is None
    assert trouble_of(KeyError("no")) is None
