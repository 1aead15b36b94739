"""``manage.py demo`` as a real process, on a SQLite file of its own."""

import os
import signal
import socket
import sqlite3
import subprocess
import sys
from contextlib import closing, contextmanager
from pathlib import Path
from threading import Event as Signal
from urllib.request import urlopen

import pytest
from django.contrib.auth import get_user_model
from django.core.management import CommandError, call_command
from django.test import override_settings

from example_project.home.demo import site
from example_project.home.demo.errors import DemoFailed
from example_project.home.demo.login import is_local, make_login
from example_project.home.demo.overview import TO_TRY
from example_project.home.demo.site import Site
from tests.once import once
from tests.patience import HOPE_SECONDS, wait_until

ROOT = Path(__file__).parents[2]

EVENTS_OF_PEOPLE = 47
FLIGHTS = "rill_django_event WHERE version = 0 AND stream LIKE 'flights.%'"


class Demo:
    """Runs the command on one database."""

    def __init__(self, folder):
        self.file = folder / "demo.sqlite3"
        self.environment = {
            **os.environ,
            "DJANGO_SETTINGS_MODULE": "example_project.settings",
            "DATABASE_URL": f"sqlite:///{self.file}",
            "DEBUG": "true",
        }

    def command(self, *arguments):
        return [sys.executable, "-W", "error", "manage.py", *arguments]

    def run(self, *arguments, **environment):
        return subprocess.run(
            self.command("demo", *arguments),
            cwd=ROOT,
            env={**self.environment, **environment},
            capture_output=True,
            text=True,
            timeout=HOPE_SECONDS,
        )

    @contextmanager
    def start(self, *arguments):
        with subprocess.Popen(
            self.command("demo", *arguments),
            cwd=ROOT,
            env=self.environment,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
        ) as process:
            try:
                yield process
            finally:
                if process.poll() is None:
                    process.kill()

    def number_of(self, table):
        with closing(
            sqlite3.connect(f"file:{self.file}?mode=ro", uri=True, timeout=HOPE_SECONDS)
        ) as database:
            return database.execute(f"SELECT count(*) FROM {table}").fetchone()[0]


def said_until_serving(process):
    """What it writes up to the line that says that it serves."""
    said = ""
    for line in process.stdout:
        said += line
        if line.startswith("Serving"):
            return said
    raise AssertionError(f"It ended before it served: {said}{process.stderr.read()}")


def end_of(process):
    """Exit code, the rest of what it wrote, and what it complained about."""
    output, errors = process.communicate(timeout=HOPE_SECONDS)
    return process.returncode, output, errors


@pytest.fixture(scope="module")
def demo(tmp_path_factory):
    """A demo that has recorded the first day already, and what it said."""
    demo = Demo(tmp_path_factory.mktemp("demo"))
    demo.first = demo.run("--no-serve", "--flights", "day")
    return demo


@once
def test_it_fills_the_database(demo):
    assert (demo.first.returncode, demo.first.stderr) == (0, "")
    assert "842 flights recorded, 2,522 events." in demo.first.stdout
    assert "http://" not in demo.first.stdout
    assert demo.number_of("rill_django_event") == 2_522 + EVENTS_OF_PEOPLE
    assert demo.number_of("flights_departure") == 842


@once
def test_the_registration_has_something_to_show(demo):
    assert "13 people registered, for the smaller example." in demo.first.stdout
    assert "Subject:" not in demo.first.stdout, "mails were sent to people who are made up"
    for table, number in (
        ("registration_registeredaccount", 13),
        ("registration_registeredaccount WHERE email_address != ''", 8),
        ("registration_ownedaddress", 8),
        ("registration_openclaim", 4),
        ("registration_displayname", 13),
    ):
        assert demo.number_of(table) == number, table
    assert demo.number_of("registration_registeredaccount WHERE registered_at < date('now')") > 8
    settled = subprocess.run(
        demo.command("settle_registrations", "--dry-run"),
        cwd=ROOT,
        env=demo.environment,
        capture_output=True,
        text=True,
        timeout=HOPE_SECONDS,
    )
    assert settled.stdout == "1 claims would expire, 1 display names be taken back\n"


@once
def test_the_table_is_aligned(demo):
    table = demo.first.stdout.split("In the database now\n")[1].rstrip().splitlines()
    assert len({line.index("  ", 3) for line in table if "PunctualityByCarrier" in line}) == 1
    columns = {len(line) - len(line.split("  ")[-1]) for line in table}
    assert len(columns) == 1


@once
def test_a_second_run_records_nothing_twice(demo):
    again = demo.run("--no-serve", "--flights", "day")
    assert (again.returncode, again.stderr) == (0, "")
    assert "0 flights recorded, 0 events; 842 were there already." in again.stdout
    assert "people registered" not in again.stdout
    assert demo.number_of("rill_django_event") == 2_522 + EVENTS_OF_PEOPLE
    assert demo.number_of("flights_departure") == 842


@once
def test_a_projection_that_has_come_new_is_built_by_the_next_run(demo):
    with closing(sqlite3.connect(demo.file)) as database, database:
        database.execute("DELETE FROM rill_django_checkpoint WHERE name LIKE 'registration.Owned%'")
        database.execute("DELETE FROM rill_django_checkpoint WHERE name = 'flights.DepartureBoard'")
        database.execute("DELETE FROM flights_departure")
        database.execute("DELETE FROM registration_ownedaddress")
    # The worker says that it builds what commands did not keep.
    again = demo.run("--no-serve", "--flights", "day", RILL_LOG_LEVEL="ERROR")
    assert (again.returncode, again.stderr) == (0, "")
    assert "Projecting: 2,569 of 2,569 events" in again.stdout
    assert "  registration.OwnedAddresses          8  rows, inline\n" in again.stdout
    assert demo.number_of("flights_departure") == 842


@once
def test_a_projection_that_stands_still_is_told_and_can_be_looked_at(tmp_path):
    demo = Demo(tmp_path)
    assert demo.run("--no-serve", "--flights", "day").returncode == 0
    carriers = demo.number_of("flights_carrierpunctuality")

    def change(*statements):
        with closing(sqlite3.connect(demo.file)) as database, database:
            for statement in statements:
                database.execute(statement)

    change(
        "DELETE FROM rill_django_checkpoint WHERE name = 'flights.PunctualityByCarrier'",
        "DELETE FROM flights_carrierpunctuality",
        "CREATE TRIGGER full BEFORE INSERT ON flights_carrierpunctuality WHEN NEW.carrier = 'WN' "
        "BEGIN SELECT RAISE(ABORT, 'no room for WN'); END",
    )
    stopped = demo.run("--no-serve", "--flights", "day")
    assert stopped.returncode == 1
    assert "PunctualityByCarrier stands still: " in stopped.stderr
    with demo.start("--port", "0", "--flights", "day") as process:
        url = said_until_serving(process).split("Front page")[1].split()[0]
        with urlopen(url) as response:
            assert '<td class="state bad">stopped</td>' in response.read().decode()
        process.send_signal(signal.SIGINT)
        code, _, errors = end_of(process)
    assert code == 0
    assert "PunctualityByCarrier stands still: " in errors
    assert "Its page in the admin says more" in errors
    change("DROP TRIGGER full")
    mended = demo.run("--no-serve", "--flights", "day")
    assert mended.returncode == 0
    assert demo.number_of("flights_carrierpunctuality") == carriers > 1


@once
@pytest.mark.parametrize("command", [command for command, _ in TO_TRY])
def test_what_it_says_to_try_works(demo, command):
    tried = subprocess.run(
        demo.command(*command.split()),
        cwd=ROOT,
        env={**demo.environment, "RILL_LOG_LEVEL": "WARNING"},
        capture_output=True,
        text=True,
        timeout=HOPE_SECONDS,
    )
    assert (tried.returncode, tried.stderr) == (0, "")
    assert "flights.DepartureBoard" in tried.stdout


@once
@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_a_signal_ends_server_and_worker(demo, number):
    with demo.start("--port", "0", "--flights", "day") as process:
        said = said_until_serving(process)
        url = said.split("Front page")[1].split()[0]
        assert "demo, password: demo" in said
        for name in ("projection_status", "rebuild_projections"):
            assert f"  manage.py {name} " in said
        with urlopen(url) as response:
            assert "United Air Lines Inc." in response.read().decode()
        for path in ("static/home/home.css", "static/admin/css/base.css"):
            with urlopen(url + path) as response:
                assert response.headers["Content-Type"] == "text/css"
        process.send_signal(number)
        code, output, errors = end_of(process)
    assert (code, output) == (0, "Stopped.\n")
    assert "Traceback" not in errors
    assert "Error" not in errors


@once
def test_the_worker_is_at_work_beside_the_server(tmp_path):
    demo = Demo(tmp_path)
    with demo.start("--port", "0", "--flights", "day") as process:
        said_until_serving(process)
        subprocess.run(
            demo.command(
                "shell",
                "-v0",
                "-c",
                "import datetime as dt; from example_project.flights.domain import Flight; "
                "at = dt.datetime(2013, 12, 24, 18, tzinfo=dt.timezone.utc); "
                "Flight.schedule.transact('ZZ', 1, at.date(), 'JFK', 'LAX', at).unwrap()",
            ),
            cwd=ROOT,
            env=demo.environment,
            check=True,
            timeout=HOPE_SECONDS,
        )
        wait_until(lambda: demo.number_of("flights_departure") == 843)
        process.send_signal(signal.SIGINT)
        assert end_of(process)[0] == 0


@once
def test_a_signal_while_recording_leaves_what_can_be_gone_on_with(tmp_path):
    demo = Demo(tmp_path)

    def has_begun():
        try:
            return demo.number_of(FLIGHTS) > 0
        except sqlite3.OperationalError:
            return False  # The tables are not there yet.

    with demo.start("--no-serve", "--flights", "month") as process:
        wait_until(has_begun)
        process.send_signal(signal.SIGINT)
        code, _, errors = end_of(process)
    assert code == 130
    assert errors == (
        "CommandError: Stopped. What has been recorded stays; run it again to go on from there.\n"
    )
    recorded = demo.number_of(FLIGHTS)
    assert 0 < recorded < 27_004
    assert recorded % 100 == 0
    again = demo.run("--no-serve", "--flights", "day")
    assert f"{min(recorded, 842):,} were there already" in again.stdout


@once
def test_a_port_in_use_is_said_before_anything_is_done(tmp_path):
    demo = Demo(tmp_path)
    with socket.create_server(("127.0.0.1", 0)) as other:
        port = other.getsockname()[1]
        result = demo.run("--port", str(port))
    assert result.returncode == 1
    assert result.stderr == (
        f"CommandError: Port {port} is in use. Take another one: --port {port + 1}\n"
    )
    assert result.stdout == ""
    # Some versions of Django look at the database for their checks, which makes an empty file.
    assert not demo.file.exists() or demo.number_of("sqlite_master") == 0


@once
def test_it_refuses_to_run_outside_debug_mode(tmp_path):
    demo = Demo(tmp_path)
    result = demo.run("--no-serve", DEBUG="false", SECRET_KEY="of-this-test-and-long-enough" * 2)
    assert result.returncode == 1
    assert "runs in debug mode only" in result.stderr
    assert "Traceback" not in result.stderr


@override_settings(DEBUG=True)
def test_the_year_needs_its_package(monkeypatch):
    monkeypatch.setattr("example_project.flights.dataset.PACKAGE", "there_is_no_such_package")
    with pytest.raises(CommandError, match="pip install --no-deps"):
        call_command("demo", "--no-serve", "--flights", "year")


@pytest.mark.parametrize("port", ["-1", "65536", "http"])
def test_a_port_is_a_number(port, capsys):
    with pytest.raises((CommandError, SystemExit)):
        call_command("demo", f"--port={port}")


def test_when_the_worker_dies_the_server_ends_and_it_is_said(monkeypatch):
    class DyingWorker:
        def run(self, stop):
            raise RuntimeError("no more")

    monkeypatch.setattr(site, "ProjectionWorker", DyingWorker)
    died = pytest.raises(DemoFailed, match="worker has died: RuntimeError: no more")
    with closing(Site("127.0.0.1", 0)) as dying, died:
        dying.listen()
        dying.serve(Signal())


@pytest.mark.django_db
class TestLogin:
    def test_is_fixed_where_nobody_else_gets_in(self):
        for _ in range(2):
            assert make_login("127.0.0.1") == ("demo", "demo")
        user = get_user_model().objects.get(username="demo")
        assert (user.is_staff, user.is_superuser) == (True, True)
        assert user.check_password("demo")

    def test_a_changed_password_is_kept(self):
        make_login("127.0.0.1")
        user = get_user_model().objects.get(username="demo")
        user.set_password("of my own")
        user.save()
        assert make_login("127.0.0.1") == ("demo", None)
        user.refresh_from_db()
        assert user.check_password("of my own")

    def test_is_random_where_others_get_in(self):
        make_login("127.0.0.1")
        first, second = make_login("0.0.0.0").password, make_login("0.0.0.0").password
        assert "demo" not in (first, second)
        assert first != second
        assert get_user_model().objects.get(username="demo").check_password(second)

    @pytest.mark.parametrize(
        ("address", "local"),
        [
            ("127.0.0.1", True),
            ("127.0.0.2", True),
            ("::1", True),
            ("localhost", True),
            ("0.0.0.0", False),
            ("192.0.2.1", False),
            ("example.org", False),
        ],
    )
    def test_what_is_local(self, address, local):
        assert is_local(address) is local
