"""A PostgreSQL server for the tests, found on the machine or taken from a wheel.

The server lives in a new temporary folder, listens on a socket there and nowhere else, and is
stopped and removed with its folder at the end, however the end comes.
"""

from __future__ import annotations

import importlib.util
import os
import re
import shutil
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from urllib.parse import quote

from tests.programs import Account, NoServer, choose_programs, last_line, oldest_version

ROOT = Path(__file__).resolve().parent.parent
SUPERUSER = "postgres"
# What the system allows for the path of a socket: 104 bytes on macOS, 108 on Linux.
LONGEST_SOCKET_PATH = 100
START_SECONDS = 60
STOP_SECONDS = 10

# The data is thrown away, so nothing is spent on surviving a power cut.
CONFIGURATION = {
    "listen_addresses": "",
    "max_connections": "100",
    "fsync": "off",
    "synchronous_commit": "off",
    "full_page_writes": "off",
}


# --- the server -----------------------------------------------------------------------------


def open_to(folder: Path, account: Account | None) -> bool:
    """Whether ``account`` may pass through ``folder`` and everything above it."""
    if account is None:
        return True
    return all(step.stat().st_mode & 0o001 for step in (folder, *folder.parents))


def home_for_scratch(account: Account | None, preferred: str | None = None) -> str:
    """A folder to make the temporary one in: close enough to the root, and not closed."""
    for home in (preferred or tempfile.gettempdir(), "/tmp"):
        path = Path(home).resolve()
        socket = path / "rill-pg-xxxxxxxx" / ".s.PGSQL.5432"
        if len(os.fsencode(socket)) <= LONGEST_SOCKET_PATH and open_to(path, account):
            return str(path)
    raise NoServer("Neither TMPDIR nor /tmp can hold the socket of a test server.")


def url_of(socket_folder: Path) -> str:
    return f"postgres://{SUPERUSER}@/postgres?host={quote(str(socket_folder), safe='/')}"


def error_in(traceback: str) -> str:
    """The line of a traceback that names the error. Its text may go on below it."""
    named = re.findall(r"^[\w.]+: .+$", traceback, flags=re.MULTILINE)
    return named[-1] if named else last_line(traceback)


def make_cluster(programs: Path, data: Path, account: Account | None) -> None:
    # macOS and some small systems have no C.UTF-8.
    for locale in ("C.UTF-8", "C"):
        answer = subprocess.run(
            [
                programs / "initdb",
                f"--pgdata={data}",
                f"--username={SUPERUSER}",
                f"--locale={locale}",
                "--auth=trust",
                "--encoding=UTF8",
                "--no-sync",
            ],
            capture_output=True,
            text=True,
            cwd="/",
            **(account.process_options if account else {}),
        )
        if answer.returncode == 0:
            return
    raise NoServer(f"initdb failed: {last_line(answer.stderr)}")


def configure(data: Path, socket_folder: Path, more: Mapping[str, str] | None = None) -> None:
    settings = {**CONFIGURATION, **(more or {}), "unix_socket_directories": str(socket_folder)}
    with (data / "postgresql.conf").open("a") as file:
        for name, value in settings.items():
            quoted = value.replace("'", "''")
            file.write(f"{name} = '{quoted}'\n")


def is_ready(data: Path) -> bool:
    """Whether the server takes connections. It says so in the last line of its pid file."""
    try:
        return (data / "postmaster.pid").read_text().rstrip().endswith("ready")
    except FileNotFoundError:
        return False


def wait_until_ready(server: subprocess.Popen[bytes], data: Path, log: Path) -> None:
    deadline = time.monotonic() + START_SECONDS
    while not is_ready(data):
        if server.poll() is not None:
            raise NoServer(f"PostgreSQL ended at its start: {last_line(log.read_text())}")
        if time.monotonic() > deadline:
            raise NoServer(f"PostgreSQL was not ready within {START_SECONDS} s.")
        time.sleep(0.01)


def stop(server: subprocess.Popen[bytes]) -> None:
    # Without a checkpoint: the data is removed right after.
    server.send_signal(signal.SIGQUIT)
    try:
        server.wait(STOP_SECONDS)
    except subprocess.TimeoutExpired:
        server.kill()
        server.wait()


@contextmanager
def postgresql(
    environ: Mapping[str, str] = os.environ, settings: Mapping[str, str] | None = None
) -> Iterator[str]:
    """A running server of our own, with these settings too; gives its ``DATABASE_URL``.

    Raises NoServer when there is none to be had.
    """
    account = Account.for_server()
    scratch = Path(tempfile.mkdtemp(prefix="rill-pg-", dir=home_for_scratch(account)))
    server = None
    try:
        if account:
            os.chown(scratch, account.user, account.group)
        programs = choose_programs(environ, account, scratch, oldest_version())
        data, log = scratch / "data", scratch / "log"
        make_cluster(programs, data, account)
        configure(data, scratch, settings)
        with log.open("wb") as output:
            server = subprocess.Popen(
                [programs / "postgres", "-D", data],
                stdin=subprocess.DEVNULL,
                stdout=output,
                stderr=output,
                cwd="/",
                # Ctrl-C in the terminal is for the tests; the server outlives them by a moment.
                start_new_session=True,
                **(account.process_options if account else {}),
            )
        wait_until_ready(server, data, log)
        yield url_of(scratch)
    finally:
        if server:
            stop(server)
        shutil.rmtree(scratch, ignore_errors=True)


# --- any server -----------------------------------------------------------------------------

ASK_SERVER = """
from django.db import connection as c
c.ensure_connection()
print(c.display_name, ".".join(map(str, c.get_database_version())))
"""


def is_mysql(url: str) -> bool:
    return url.startswith("mysql")


def is_sqlite(url: str) -> bool:
    return url.startswith("sqlite")


def name_and_version(url: str) -> str:
    """What answers at ``url``, such as "PostgreSQL 15.8". Raises NoServer if nothing does."""
    if is_mysql(url) and importlib.util.find_spec("MySQLdb") is None:
        raise NoServer(
            "The package mysqlclient is missing, which MySQL and MariaDB need: "
            f"{sys.executable} -m pip install mysqlclient"
        )
    answer = subprocess.run(
        [sys.executable, "-c", ASK_SERVER],
        capture_output=True,
        text=True,
        cwd=ROOT,
        env={
            **os.environ,
            "DATABASE_URL": url,
            "DJANGO_SETTINGS_MODULE": "example_project.settings",
        },
    )
    if answer.returncode != 0:
        raise NoServer(f"The database server does not answer: {error_in(answer.stderr)}")
    return answer.stdout.strip()
