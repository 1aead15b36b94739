"""The commands as processes: ``export_events | import_events``, from database to database."""

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest
from django.conf import settings
from django.db import connection

from tests.integrity.logs import (
    NOON,
    NewEvent,
    append,
    delete_position,
    deposited,
    export,
    insert,
    opened,
    small_log,
)
from tests.patience import HOPE_SECONDS

pytestmark = pytest.mark.django_db(transaction=True)

# A process of its own, on the database of that name if one is given.
_MANAGE = """
import os, sys
from django.conf import settings
name = os.environ.get("RILL_TEST_NAME")
if name:
    settings.DATABASES["default"]["NAME"] = name
from django.core.management import execute_from_command_line
execute_from_command_line(["manage.py", *sys.argv[1:]])
"""


def command(*arguments, url=None):
    """The command line and environment for this test's database, or for another one."""
    environment = {
        **os.environ,
        "DJANGO_SETTINGS_MODULE": settings.SETTINGS_MODULE,
        "PYTHONPATH": os.pathsep.join(path for path in sys.path if path),
        "RILL_TEST_NAME": "" if url else str(connection.settings_dict["NAME"]),
    }
    if url:
        environment["DATABASE_URL"] = url
    line = [sys.executable, "-W", "error", "-c", _MANAGE, *map(str, arguments)]
    return {"args": line, "env": environment, "cwd": Path(__file__).resolve().parents[2]}


def run(*arguments, url=None, **options):
    return subprocess.run(
        **command(*arguments, url=url),
        capture_output=True,
        timeout=HOPE_SECONDS,
        check=False,
        **options,
    )


@pytest.fixture
def other(tmp_path):
    """The URL of an empty SQLite database with the tables."""
    url = f"sqlite:///{tmp_path / 'other.sqlite3'}"
    made = run("migrate", "rill_django", "--verbosity", "0", url=url)
    assert made.returncode == 0, made.stderr.decode()
    return url


def test_a_log_goes_through_a_pipe_into_another_database_and_is_the_same_there(other):
    small_log(accounts=5, deposits=3)
    awkward = (
        b'{"z": 1.0, "number": "\xc3\xa9", "owner": "Ann", "a": [1e16, 1.10, {"c": 1, "b": 2}]}'
    )
    append("bank.Account/%C3%A9", NewEvent("bank.Account.opened", awkward, b'{"n": 1E2}', NOON))
    append("bank.Account/%C3%A9", deposited("é", 5, NOON), at=0)
    expected = export()
    assert len(expected.splitlines()) == 22 + 1

    for said in ("22 events were imported; 0 were there", "0 events were imported; 22 were there"):
        with subprocess.Popen(**command("export_events"), stdout=subprocess.PIPE) as source:
            target = run("import_events", "--batch-size", 4, url=other, stdin=source.stdout)
        assert (source.returncode, target.returncode) == (0, 0), target.stderr.decode()
        assert said in target.stdout.decode()
        there = run("export_events", url=other)
        assert there.stdout.decode() == expected

    checked = run("verify_events", "--workers", 2, "--format", "json", url=other)
    assert checked.returncode == 3, checked.stderr.decode()
    report = json.loads(checked.stdout)
    assert report["events"] == 22
    assert report["damage"] == report["unreadable"] == []
    assert [one["field"] for one in report["unknown_fields"]] == ["a", "z"]


def test_of_an_export_that_was_cut_nothing_is_stored(other):
    small_log(accounts=3, deposits=3)
    lines = export()
    cut = lines[: len(lines) // 2].encode()
    for input, said in (
        (cut, b"is not JSON: Input data was truncated"),
        (cut[: cut.rindex(b"\n") + 1], b"incomplete: 1 \xc3\x97 it is no complete export"),
    ):
        first = run("import_events", "-", "--batch-size", 2, url=other, input=input)
        assert first.returncode == 1
        assert said in first.stderr
        assert b"Nothing was stored" in first.stderr
        assert b"Traceback" not in first.stderr
        assert len(run("export_events", url=other).stdout.splitlines()) == 1
    second = run("import_events", "-", url=other, input=lines.encode())
    assert second.returncode == 0
    assert run("export_events", url=other).stdout.decode() == lines


def test_a_reader_that_leaves_early_is_no_traceback():
    for number in range(300):
        append(f"bank.Account/{number}", *[opened(number) for _ in range(10)])
    with subprocess.Popen(
        **command("export_events"), stdout=subprocess.PIPE, stderr=subprocess.PIPE
    ) as source:
        assert source.stdout.readline()
        source.stdout.close()
        said = source.stderr.read().decode()
    assert source.returncode == 1
    assert "has stopped reading" in said
    assert "Traceback" not in said
    assert "Exception ignored" not in said


def test_the_exit_code_of_a_verification():
    small_log()
    assert run("verify_events").returncode == 0
    delete_position(5)
    insert("bank.Account/77", 3)
    for options in ((), ("--workers", "2")):
        failed = run("verify_events", *options)
        assert failed.returncode == 1
        said = failed.stdout.decode()
        assert "position-missing: 1 × a position is missing\n  position 5\n" in said
        assert "  bank.Account/77 has no version 0" in said
        assert b"The log is damaged" in failed.stderr
        assert b"Traceback" not in failed.stderr


@pytest.mark.parametrize(
    "arguments",
    [
        ("verify_events", "--workers", "0"),
        ("verify_events", "--format", "xml"),
        ("export_events", "--since", "2024-05-31"),
        ("export_events", "--after", "-1"),
        ("import_events", "--batch-size", "0"),
    ],
)
def test_wrong_arguments_are_refused(arguments):
    failed = run(*arguments)
    assert failed.returncode == 2
    assert failed.stdout == b""
