"""`run_projections` and `rebuild_projections`."""

import os
import signal
import subprocess
import sys
from io import StringIO
from pathlib import Path

import pytest
from django.conf import settings
from django.core.management import CommandError, call_command
from django.db import connection

from rill_django.management.arguments import positive_float, positive_integer
from rill_django.management.progress import Progress
from rill_django.models import Checkpoint
from rill_django.projections.projection import HandlerFailed
from rill_django.projections.registry import current_projections
from rill_django.testing import isolated_projections
from tests.bank.domain import Account
from tests.bank.models import Balance
from tests.patience import HOPE_SECONDS, wait_until

pytestmark = pytest.mark.django_db


def run(*arguments, **options):
    out = StringIO()
    call_command(*arguments, stdout=out, **options)
    return out.getvalue()


@pytest.fixture
def broken(monkeypatch):
    def fails(self, row, event):
        raise ValueError("cannot")

    (balances,) = current_projections().named(["bank.Balances"])
    monkeypatch.setattr(type(balances), "handlers", {"bank.Account.opened": fails})
    Account.open.transact("1", "Ann").unwrap()


def test_run_once_catches_up():
    Account.open.transact("1", "Ann").unwrap()
    assert "Up to date: bank.Balances" in run("run_projections", "bank.Balances", "--once")
    assert Balance.objects.get().owner == "Ann"
    assert not Checkpoint.objects.exclude(name="bank.Balances").exists()


def test_run_once_says_which_stand_still_and_fails(broken):
    with pytest.raises(CommandError, match=r"(?s)bank\.Balances failed on bank\.Account/1@0.*Mend"):
        run("run_projections", "bank.Balances", "--once")


def test_run_once_that_is_stopped_before_the_end_fails(monkeypatch):
    """Whoever goes on behind it, as a script does, counts on all being applied."""
    for number in "12":
        Account.open.transact(number, "Ann").unwrap()

    def is_asked_to_stop(self, row, event):
        row.owner = event.owner
        signal.raise_signal(signal.SIGTERM)

    (balances,) = current_projections().named(["bank.Balances"])
    monkeypatch.setattr(type(balances), "handlers", {"bank.Account.opened": is_asked_to_stop})
    with pytest.raises(CommandError, match="stopped before the end"):
        run("run_projections", "bank.Balances", "--once", "--batch-size", "1")
    assert Balance.objects.count() == 1


@pytest.mark.parametrize("command", ["run_projections", "rebuild_projections"])
def test_an_unknown_projection_is_an_error(command):
    with pytest.raises(CommandError, match=r"no projection 'nope'.*bank\.Balances"):
        run(command, "nope")


@pytest.mark.parametrize("command", ["run_projections", "rebuild_projections"])
def test_no_projection_at_all_is_an_error_that_says_what_to_do(command):
    with (
        isolated_projections(),
        pytest.raises(CommandError, match=r"Write one in the projections\.py"),
    ):
        run(command)


def test_rebuild_asks_first(monkeypatch):
    monkeypatch.setattr("builtins.input", lambda question: "n")
    with pytest.raises(CommandError, match="Nothing was changed"):
        run("rebuild_projections", "bank.Balances")


@pytest.mark.parametrize("option", ["--no-input", "--noinput"])
def test_rebuild_makes_the_rows_anew(option):
    Account.open.transact("1", "Ann").unwrap()
    Balance.objects.create(number="stray", owner="nobody")
    out = run("rebuild_projections", "bank.Balances", option)
    assert "bank.Balances is rebuilt up to position 1." in out
    assert list(Balance.objects.values_list("owner", flat=True)) == ["Ann"]


def test_a_rebuild_that_fails_says_so_and_keeps_the_rows(broken):
    Balance.objects.create(number="old", owner="x")
    with pytest.raises(CommandError, match="its rows are as they were") as failed:
        run("rebuild_projections", "bank.Balances", "--no-input")
    assert isinstance(failed.value.__cause__, HandlerFailed)
    assert Balance.objects.get().number == "old"


@pytest.mark.parametrize("text", ["0", "-1", "x", "1.5", ""])
def test_a_batch_size_is_a_whole_number_above_zero(text):
    with pytest.raises(Exception, match="not a whole number of at least 1"):
        positive_integer(text)


@pytest.mark.parametrize("text", ["0", "-1", "x", "nan", "inf", ""])
def test_an_interval_is_a_number_above_zero(text):
    with pytest.raises(Exception, match="not a number above 0"):
        positive_float(text)


def test_arguments_that_are_right_are_taken():
    assert (positive_integer("7"), positive_float("0.5")) == (7, 0.5)


class Terminal(StringIO):
    def isatty(self):
        return True


def test_progress_is_a_bar_on_a_terminal():
    terminal = Terminal()
    with Progress(terminal, "importing", "events", 100) as progress:
        progress.advance_to(40)
        progress.advance_to(100, 200)
    assert "importing" in terminal.getvalue()
    assert "100/200" in terminal.getvalue()


def test_progress_is_a_line_now_and_then_elsewhere(monkeypatch):
    clock = [0.0]
    monkeypatch.setattr("rill_django.management.progress.time.monotonic", lambda: clock[0])
    out = []
    stream = StringIO()
    stream.write = out.append
    with Progress(stream, "importing", "events", 100) as progress:
        progress.advance_to(1)
        clock[0] = 10.0
        progress.advance_to(50)
        progress.advance_to(60)
    assert out == [
        "importing: 50 of 100 events, 5/s",
        "importing: 60 of 100 events, 6/s",
    ]


@pytest.mark.django_db(transaction=True)
@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_a_signal_ends_the_poller_cleanly(number):
    worker = subprocess.Popen(
        [sys.executable, "-c", _WORKER, "run_projections", "bank.Balances"],
        env={**os.environ, "RILL_TEST_NAME": str(connection.settings_dict["NAME"])},
        cwd=settings.BASE_DIR,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
    )
    try:
        Account.open.transact("1", "Ann").unwrap()
        wait_until(lambda: Balance.objects.exists() or worker.poll() is not None)
        assert worker.poll() is None, worker.stdout.read()
        assert Balance.objects.get().owner == "Ann"
        worker.send_signal(number)
        said, _ = worker.communicate(timeout=HOPE_SECONDS)
    finally:
        worker.kill()
    assert worker.returncode == 0, said
    assert "Traceback" not in said
    assert "Running bank.Balances" in said


# A process of its own, on the test database.
_WORKER = """
import os, sys
os.environ["DJANGO_SETTINGS_MODULE"] = "tests.settings"
from django.conf import settings
settings.DATABASES["default"]["NAME"] = os.environ["RILL_TEST_NAME"]
from django.core.management import execute_from_command_line
execute_from_command_line(["manage.py", *sys.argv[1:]])
"""


def test_a_signal_ends_a_wait_at_once_wherever_it_comes():
    """Also while the flag is being looked at, in the thread that waits: a lock there would deadlock."""
    code = """
import os, signal, threading
from rill_django.management.signals import stopped_by_signals
for round in range(300):
    with stopped_by_signals() as stop:
        timer = threading.Timer(0.0001 * (round % 10), os.kill, (os.getpid(), signal.SIGTERM))
        timer.start()
        while not stop.wait(0.00001):
            pass
        timer.join()
with stopped_by_signals() as stop:
    threading.Timer(0.1, stop.set).start()
    assert stop.wait(100_000)
"""
    done = subprocess.run(
        [sys.executable, "-c", code], cwd=settings.BASE_DIR, timeout=HOPE_SECONDS, check=False
    )
    assert done.returncode == 0


def test_a_metrics_port_that_is_taken_is_an_error():
    import socket

    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        port = str(taken.getsockname()[1])
        with pytest.raises(CommandError, match=f"Port {port} cannot be had"):
            run("run_projections", "bank.Balances", "--once", "--metrics-port", port)


def test_an_address_for_metrics_that_this_machine_has_not_is_an_error():
    words = ("--metrics-port", "9101", "--metrics-address", "203.0.113.1")
    with pytest.raises(CommandError, match=r"Port 9101 .* at 203\.0\.113\.1: "):
        run("run_projections", "bank.Balances", "--once", *words)


UNREACHABLE = """
import sys
from django.conf import settings
settings.DATABASES["default"] |= {
    "ENGINE": "django.db.backends.sqlite3", "NAME": "/nowhere/at/all/db.sqlite3", "OPTIONS": {},
}
from django.core.management import execute_from_command_line
execute_from_command_line(["manage.py", *sys.argv[1:]])
"""


@pytest.mark.parametrize(
    "line",
    [
        "projection_status",
        "verify_events",
        "export_events",
        "run_projections --once",
        "rebuild_projections --no-input bank.Balances",
        "retry_projection bank.Balances --skip bank.Account/1@0 --reason x",
        "prune_idempotency_keys",
        "protect_events",
    ],
)
def test_a_database_that_cannot_be_reached_is_no_traceback(line):
    ran = subprocess.run(
        [sys.executable, "-c", UNREACHABLE, *line.split()],
        env={**os.environ, "DJANGO_SETTINGS_MODULE": "tests.settings"},
        cwd=Path(__file__).resolve().parents[2],
        capture_output=True,
        text=True,
        check=False,
    )
    assert ran.returncode == 1
    assert "unable to open database file" in ran.stderr
    assert "CommandError: " in ran.stderr
    assert "Traceback" not in ran.stderr
