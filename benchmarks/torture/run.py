"""Starts the processes, kills one of them again and again, and has the outcome checked."""

from __future__ import annotations

import multiprocessing
import random
import time
from collections import Counter
from collections.abc import Callable
from multiprocessing.context import ForkProcess
from typing import Any

import msgspec
from django.db import connection, connections

from benchmarks.torture import checker, tables
from benchmarks.torture.idle import bystander, dawdler
from benchmarks.torture.ledger import ledgers
from benchmarks.torture.options import Options
from benchmarks.torture.poller import poll
from benchmarks.torture.writer import Writer
from rill_django.store.tables import Event, Position

VICTIM = "victim"
KILL_AFTER = (0.1, 1.0)
JOIN_SECONDS = 120
STILL_SECONDS = 30
"""So long after the last delivery it is clear that no more will come."""

# By fork: what is imported is there at once, and eleven processes start in milliseconds.
_context = multiprocessing.get_context("fork")


class Report(msgspec.Struct, frozen=True, kw_only=True):
    """What came out of a run. Times in milliseconds."""

    database: str
    seed: int
    seconds: float
    committed_events: int
    transactions: dict[str, int]
    kills: int
    lag_p50: float
    lag_p99: float
    longest_append_to_own_stream: float
    findings: list[str]


def run(options: Options) -> Report:
    """Run the torture on the default database, whose log has to be empty.

    Raises:
        ValueError: it is not.
        RuntimeError: one of the processes failed.
    """
    if Event.objects.exists():
        raise ValueError("The log is not empty, so positions would not begin at 1.")
    steady = [f"poller {number}" for number in range(1, options.steady_pollers + 1)]
    tables.create([*steady, VICTIM])
    try:
        idle = _open_transactions(options)
        pollers = [_start(poll, name, options) for name in steady]
        writers = [_start(_write, number, options) for number in range(options.writers)]
        kills, victim = _kill_while(writers, options)
        _join(writers)
        held_up = idle and not _wait_for_pollers(_committed(options))
        options.flag("finish").up()
        _join(idle)
        _wait_for_pollers(_committed(options))
        options.flag("stop").up()
        _join([*pollers, victim])
        findings = ["an open transaction holds up the events of others"] if held_up else []
        return _report(options, steady, kills, findings)
    finally:
        for process in multiprocessing.active_children():
            process.kill()
            process.join()
        tables.drop()


def _write(number: int, options: Options) -> None:
    Writer(number, options).run()


def _start(work: Callable[..., object], *args: Any) -> ForkProcess:
    connections.close_all()  # A connection must not be shared with a child.
    process = _context.Process(target=work, args=args, daemon=True)
    process.start()
    return process


def _open_transactions(options: Options) -> list[ForkProcess]:
    if not options.open_transactions:
        return []
    processes = [_start(dawdler, options), _start(bystander, options)]
    for name in ("dawdler", "bystander"):
        if not options.flag(name).wait(JOIN_SECONDS):
            raise RuntimeError(f"the {name} has not begun")
    return processes


def _kill_while(writers: list[ForkProcess], options: Options) -> tuple[int, ForkProcess]:
    """Kill and restart a poller until the writers are done; return how often, and the last one."""
    chance, kills = random.Random(options.seed), 0
    victim = _start(poll, VICTIM, options)
    while any(writer.is_alive() for writer in writers):
        writers[0].join(chance.uniform(*KILL_AFTER))
        victim.kill()  # SIGKILL
        victim.join()
        kills += 1
        victim = _start(poll, VICTIM, options)
    return kills, victim


def _committed(options: Options) -> int:
    return sum(len(entry.events) for entry in ledgers(options.folder))


def _wait_for_pollers(committed: int) -> bool:
    """Wait until all have seen everything, or nothing moves any more; return whether they have."""
    before: dict[str, int] = {}
    still_since = time.monotonic()
    while True:
        now = tables.positions()
        if min(now.values()) >= committed:
            return True
        if now != before:
            before, still_since = now, time.monotonic()
        elif time.monotonic() - still_since > STILL_SECONDS:
            return False
        time.sleep(0.05)


def _join(processes: list[ForkProcess]) -> None:
    for process in processes:
        process.join(JOIN_SECONDS)
        if process.exitcode != 0:
            raise RuntimeError(f"a process failed: {process}")


def _report(options: Options, steady: list[str], kills: int, findings: list[str]) -> Report:
    entries = list(ledgers(options.folder))
    delivered = {poller: tables.deliveries_to(poller) for poller in (*steady, VICTIM)}
    findings = [*findings, *checker.check(entries, delivered)]
    committed = sum(len(entry.events) for entry in entries)
    if not options.naive:
        findings += _check_log(committed)
    lags = [lag for poller in steady for lag in checker.lags(entries, delivered[poller])] or [0.0]
    lags.sort()
    return Report(
        database=connection.display_name,
        seed=options.seed,
        seconds=options.seconds,
        committed_events=committed,
        transactions=dict(Counter(str(entry.outcome) for entry in entries).most_common()),
        kills=kills,
        lag_p50=1000 * lags[len(lags) // 2],
        lag_p99=1000 * lags[int(0.99 * len(lags))],
        longest_append_to_own_stream=1000 * max(entry.waited for entry in entries),
        findings=findings,
    )


def _check_log(committed: int) -> list[str]:
    positions = list(Position.objects.order_by("position").values_list("position", flat=True))
    findings = []
    if positions != list(range(1, committed + 1)):
        findings.append(f"{len(positions)} positions, not consecutive from 1 to {committed}")
    if Event.objects.count() != committed:
        findings.append(f"{Event.objects.count()} events are stored, {committed} were committed")
    return findings
