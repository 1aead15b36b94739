"""Run it: ``python -m benchmarks.torture --minutes 5 --database-url …``."""

from __future__ import annotations

import argparse
import json
import os
import random
import sys
import tempfile
from collections.abc import Iterator, Sequence
from contextlib import contextmanager

import msgspec

from benchmarks import DATABASES_VARIABLE

EXPLANATION = """The log of the database has to be empty and is full of rubbish afterwards. Without a URL,
a PostgreSQL is started for the run. Exit code 1: an event was lost, repeated or out of order."""


def arguments(given: Sequence[str] | None = None) -> argparse.Namespace:
    """Parse the command line."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.torture", epilog=EXPLANATION)
    length = parser.add_mutually_exclusive_group()
    length.add_argument("--minutes", type=float, default=5)
    length.add_argument("--seconds", type=float)
    parser.add_argument(
        "--transactions", type=int, default=0, help="at least so many by each writer"
    )
    parser.add_argument("--database-url", metavar="URL", help="an empty database to run on")
    parser.add_argument("--seed", type=int, default=random.SystemRandom().randrange(1_000_000))
    parser.add_argument("--writers", type=int, default=8, help="processes that append")
    parser.add_argument("--json", action="store_true", help="print the report as JSON")
    parser.add_argument(
        "--naive",
        action="store_true",
        help="poll by event id instead of position, to see that the checker notices what is lost",
    )
    return parser.parse_args(given)


@contextmanager
def database(url: str | None) -> Iterator[None]:
    """Point Django at the database: the one given, that of the environment, or a server of our own."""
    from benchmarks.database import postgresql, settings_of

    if url is None and DATABASES_VARIABLE not in os.environ:
        with postgresql(durable=False) as own, database(own):
            yield
        return
    if url is not None:
        os.environ[DATABASES_VARIABLE] = json.dumps({"default": settings_of(url)})
    os.environ["DJANGO_SETTINGS_MODULE"] = "benchmarks.settings"
    yield


def main() -> int:
    """Run the torture and print its report."""
    given = arguments()
    with (
        database(given.database_url),
        tempfile.TemporaryDirectory(prefix="rill-torture-") as folder,
    ):
        import django

        django.setup()
        from django.core.management import call_command
        from django.db import connection

        from benchmarks.torture.options import Options
        from benchmarks.torture.run import run

        call_command("migrate", verbosity=0)
        options = Options(
            seed=given.seed,
            seconds=given.seconds or 60 * given.minutes,
            transactions=given.transactions,
            writers=given.writers,
            open_transactions=connection.vendor != "sqlite",
            naive=given.naive,
            folder=folder,
        )
        if not given.json:
            print(f"seed {options.seed}, {options.seconds:.0f} s", flush=True)
        report = run(options)
        connection.close()
    if given.json:
        print(msgspec.json.encode(report).decode())
    else:
        for name, value in msgspec.structs.asdict(report).items():
            shown = f"{value:.1f}" if isinstance(value, float) else value
            print(f"{name.replace('_', ' '):30} {shown or 'none'}")
    return 1 if report.findings else 0


if __name__ == "__main__":
    sys.exit(main())
