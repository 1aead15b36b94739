"""Run the suite on SQLite, on PostgreSQL and, if its URL is given, on MySQL or MariaDB.

`make test` calls this as `python -m tests.run`; all arguments go to pytest. In the environment:

DATABASE_URL              a server to use instead of a PostgreSQL that is set up for the run
RILL_TEST_MYSQL_URL       a MySQL or MariaDB server for a third run; needs mysqlclient
RILL_TEST_POSTGRESQL_BIN  a folder with PostgreSQL's programs, or "wheel" for those from PyPI
"""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator, Sequence
from contextlib import AbstractContextManager, contextmanager, nullcontext, suppress
from pathlib import Path
from types import FrameType
from typing import NoReturn

from tests import servers
from tests.counter import RESULT_VARIABLE
from tests.programs import NoServer
from tests.summary import NO_TESTS_COLLECTED, Outcome, closing_line, exit_code, table

MYSQL_VARIABLE = "RILL_TEST_MYSQL_URL"
PYTEST = (sys.executable, "-m", "pytest", "-q", "--tb=short", "-p", "tests.counter")
# One process per core, unless the arguments ask for something that only one process can do.
PARALLEL = ("-n", "auto", "--dist", "worksteal")
ONE_PROCESS = ("-n", "--numprocesses", "--dist", "--pdb", "--trace", "-s", "--capture=no")
GRACE_SECONDS = 15


class Terminated(BaseException):
    """Somebody asked this process to end; its argument is the number of the signal."""


@contextmanager
def sqlite_file() -> Iterator[str]:
    with tempfile.TemporaryDirectory(prefix="rill-sqlite-") as folder:
        yield f"sqlite:///{folder}/db.sqlite3"


def databases(environ: dict[str, str]) -> dict[str, AbstractContextManager[str]]:
    """What to run on, by the name that is shown when it cannot be had."""
    runs: dict[str, AbstractContextManager[str]] = {"SQLite": sqlite_file()}
    url = environ.get("DATABASE_URL", "")
    if url and not servers.is_sqlite(url):
        runs["DATABASE_URL"] = nullcontext(url)
    else:
        runs["PostgreSQL"] = servers.postgresql(environ)
    if environ.get(MYSQL_VARIABLE):
        runs[MYSQL_VARIABLE] = nullcontext(environ[MYSQL_VARIABLE])
    return runs


def in_one_process(arguments: Sequence[str]) -> bool:
    """Whether the arguments rule out spreading the tests over processes, or do so themselves."""
    return any(argument.startswith(ONE_PROCESS) for argument in arguments)


def run_pytest(url: str, arguments: Sequence[str]) -> tuple[dict[str, int] | None, int]:
    """Run pytest on the database at ``url``; gives what it counted and its exit code."""
    with tempfile.TemporaryDirectory(prefix="rill-tests-") as folder:
        result = Path(folder) / "result.json"
        spread = () if in_one_process(arguments) else PARALLEL
        process = subprocess.Popen(
            [*PYTEST, *spread, *arguments],
            cwd=servers.ROOT,
            env={**os.environ, "DATABASE_URL": url, RESULT_VARIABLE: str(result)},
        )
        try:
            code = process.wait()
        except KeyboardInterrupt:
            # The terminal has told pytest too. Told twice, it would drop its own clearing up.
            with suppress(subprocess.TimeoutExpired):
                process.wait(GRACE_SECONDS)
            raise
        finally:
            end(process)
        counts = json.loads(result.read_text()) if result.exists() else None
        return counts, code


def end(process: subprocess.Popen[bytes]) -> None:
    """See the process off: let it take its databases down, but do not wait for ever."""
    if process.poll() is not None:
        return
    process.send_signal(signal.SIGINT)
    try:
        process.wait(GRACE_SECONDS)
    except (subprocess.TimeoutExpired, KeyboardInterrupt):
        process.kill()
        process.wait()


def run_on(name: str, database: AbstractContextManager[str], arguments: Sequence[str]) -> Outcome:
    try:
        with database as url:
            name = servers.name_and_version(url)
            print(f"== {name}", flush=True)
            begun = time.monotonic()
            counts, code = run_pytest(url, arguments)
            return Outcome.of_run(name, counts, code, time.monotonic() - begun)
    except NoServer as error:
        print(f"== {name}\n{error}", flush=True)
        return Outcome.without_server(name, str(error))


def stop_on_signal(signum: int, frame: FrameType | None) -> NoReturn:
    raise Terminated(signum)


def main(arguments: Sequence[str]) -> int:
    for signum in (signal.SIGTERM, signal.SIGHUP):
        signal.signal(signum, stop_on_signal)
    outcomes = []
    try:
        for name, database in databases(dict(os.environ)).items():
            outcome = run_on(name, database, arguments)
            outcomes.append(outcome)
            print(flush=True)
    except (KeyboardInterrupt, Terminated) as error:
        signum = error.args[0] if isinstance(error, Terminated) else signal.SIGINT
        print("\nStopped. What was started for the tests is gone again.", flush=True)
        return 128 + signum
    print(table(outcomes))
    for outcome in outcomes:
        if outcome.broken:
            print(f"{outcome.database}: {outcome.broken.splitlines()[0]}")
    if not os.environ.get(MYSQL_VARIABLE):
        print(f"MySQL and MariaDB were left out: {MYSQL_VARIABLE} names no server to test them on.")
    if exit_code(outcomes) == NO_TESTS_COLLECTED:
        print("No test was run.")
    print(f"\n{closing_line(outcomes)}")
    return exit_code(outcomes)


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
