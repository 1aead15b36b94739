"""SQLite is set up to wait where it could fail, and to let readers read."""

import sqlite3
from contextlib import closing

import pytest
from django.db import connection
from django.db.backends.sqlite3.base import DatabaseWrapper

from rill_django.checks_of_sqlite import check_sqlite, check_sqlite_databases

WAL = "PRAGMA journal_mode=WAL; PRAGMA synchronous=NORMAL;"


def ids(name, **options):
    settings = {"NAME": name, "OPTIONS": options}
    return [message.id for message in check_sqlite(DatabaseWrapper(settings, "log"))]


def make(file, mode):
    with closing(sqlite3.connect(file)) as database:
        database.execute(f"PRAGMA journal_mode={mode}")
        database.execute("CREATE TABLE anything (number)")


def test_a_project_as_django_makes_it(tmp_path):
    assert ids(tmp_path / "db.sqlite3") == ["rill.W001", "rill.W010"]


def test_a_project_as_the_tutorial_has_it(tmp_path):
    file = tmp_path / "db.sqlite3"
    assert ids(file, transaction_mode="IMMEDIATE", init_command=WAL) == []
    assert ids(file, transaction_mode="DEFERRED", init_command=WAL) == ["rill.W001"]
    assert ids(file, transaction_mode="IMMEDIATE", init_command="pragma journal_mode = wal") == []


@pytest.mark.parametrize(("mode", "expected"), [("WAL", []), ("DELETE", ["rill.W010"])])
def test_a_file_keeps_the_mode_that_it_was_given_once(tmp_path, mode, expected):
    file = tmp_path / "db.sqlite3"
    make(file, mode)
    assert ids(file, transaction_mode="IMMEDIATE") == expected
    assert ids(str(file), transaction_mode="IMMEDIATE") == expected


def test_an_empty_file_has_no_mode(tmp_path):
    file = tmp_path / "db.sqlite3"
    file.touch()
    assert ids(file, transaction_mode="IMMEDIATE") == ["rill.W010"]


@pytest.mark.parametrize("name", [":memory:", "file:memorydb_default?mode=memory&cache=shared"])
def test_in_memory_there_is_no_such_log(name):
    assert ids(name, transaction_mode="IMMEDIATE") == []


def test_databases_of_projections_are_looked_at_too(monkeypatch, settings, tmp_path):
    settings.DATABASE_ROUTERS = ["tests.test_checks.AuditElsewhere"]
    elsewhere = DatabaseWrapper({"NAME": tmp_path / "x", "OPTIONS": {}}, "elsewhere")
    monkeypatch.setattr(
        "rill_django.checks_of_sqlite.connections", {"default": connection, "elsewhere": elsewhere}
    )
    messages = check_sqlite_databases(None)
    assert [message.id for message in messages] == ["rill.W001", "rill.W010"]
    assert all("'elsewhere'" in message.msg for message in messages)


def test_the_cure_is_said(tmp_path):
    for message in check_sqlite(DatabaseWrapper({"NAME": tmp_path / "x", "OPTIONS": {}}, "log")):
        assert "'transaction_mode': 'IMMEDIATE'" in message.hint
        assert "'init_command': 'PRAGMA journal_mode=WAL'" in message.hint
