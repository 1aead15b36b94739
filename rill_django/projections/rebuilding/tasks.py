"""What is to be done with one projection, and what came of it: values that go to other processes."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import NamedTuple

from django.core.exceptions import ImproperlyConfigured
from django.db import DatabaseError, InterfaceError

from rill_django.domain.errors import RillError
from rill_django.domain.tracebacks import shortened_text
from rill_django.processes import Tell, in_processes
from rill_django.projections.rebuild import RebuildInterrupted, rebuild, verify
from rill_django.projections.rebuilding.differences import (
    RowDifference,
    TableComparison,
    Verification,
)
from rill_django.projections.rebuilding.errors import RowsBesideLost
from rill_django.projections.rebuilding.together import build_share
from rill_django.projections.registry import current_projections
from rill_django.projections.running import Progress
from rill_django.stopping import Stop
from rill_django.store.protocol import SequencerHeld
from rill_django.store.trouble import trouble_of

_OTHERS = (RowsBesideLost, SequencerHeld)


class Task(NamedTuple):
    """A projection that is to be rebuilt, or verified. See `rebuild` and `verify`."""

    name: str
    verify: bool = False
    in_place: bool = False
    restart: bool = False
    batch_size: int | None = None
    workers: int = 1
    share: tuple[int, int] | None = None
    """Only this share of the rows beside; see `build_share`."""


class Outcome(NamedTuple):
    """What came of it.

    Attributes:
        name: of the projection.
        is_good: whether it is rebuilt, or its rows are as the log says.
        text: what to tell.
        error: what was raised, or ``None``; not known when it happened in another process.
        may_go_on: whether the error says nothing against what was built before.
    """

    name: str
    is_good: bool
    text: str
    error: Exception | None = None
    may_go_on: bool = False


def perform(task: Task, progress: Progress, stop: Stop) -> Outcome:
    """Do the task; errors become outcomes, since other projections have nothing to do with them."""
    try:
        (projection,) = current_projections().named([task.name])
        if task.verify:
            found = verify(projection, progress=progress, batch_size=task.batch_size, stop=stop)
            return Outcome(task.name, found.is_equal, "\n".join(report(found)))
        if task.share:
            position = build_share(
                projection,
                task.share,
                batch_size=task.batch_size,
                progress=progress,
                stop=stop,
            )
            return Outcome(task.name, True, f"{task.name} is built up to position {position:,}.")
        position = rebuild(
            projection,
            progress=progress,
            workers=task.workers,
            batch_size=task.batch_size,
            in_place=task.in_place,
            restart=task.restart,
            stop=stop,
        )
    except RebuildInterrupted as error:
        return Outcome(task.name, False, str(error), error)
    except (RillError, DatabaseError, InterfaceError, ImproperlyConfigured) as error:
        verb = "verified" if task.verify else "rebuilt; its rows are as they were"
        text = f"{task.name} could not be {verb}: {error}"
        if isinstance(error, RillError) and error.__cause__ is not None:
            text = f"{text}\n{shortened_text(error.__cause__)}".rstrip()
        # The database, or somebody else, came in between: nothing against what is built.
        may_go_on = isinstance(error, _OTHERS) or trouble_of(error) is not None
        return Outcome(task.name, False, text, error, may_go_on)
    return Outcome(task.name, True, f"{task.name} is rebuilt up to position {position:,}.")


def perform_all(
    tasks: Sequence[Task], workers: int, progress: Progress, stop: Stop
) -> Iterator[Outcome]:
    """Yield what comes of each task, as they get ready, done in so many processes.

    Raises:
        ImproperlyConfigured, BrokenProcessPool: see `in_processes`.
    """
    outcomes = in_processes(
        perform_elsewhere,
        tasks,
        min(workers, len(tasks)),
        told=lambda step: progress(*step),
        stop=stop,
    )
    for _, outcome in outcomes:
        yield outcome


def perform_elsewhere(task: Task, tell: Tell, stop: Stop) -> Outcome:
    """Do the task in a process of its own: see `in_processes`."""
    outcome = perform(task, lambda *step: tell(step), stop)
    return outcome._replace(error=None)


def report(found: Verification) -> Iterator[str]:
    """Yield lines that say what a verification has found."""
    at = f"at position {found.position:,}"
    if found.is_equal:
        yield f"{found.projection} is as the log says, {at}."
    else:
        yield f"{found.projection} is not as the log says, {at}:"
    for table in found.tables:
        yield from _report_table(table)


def _report_table(table: TableComparison) -> Iterator[str]:
    by = f"rows matched by {', '.join(table.matched_by)}" if table.matched_by else "whole rows"
    without = f", without {', '.join(table.not_compared)}" if table.not_compared else ""
    yield (
        f"  {table.model}: {table.missing:,} missing, {table.extra:,} extra, "
        f"{table.different:,} different ({by}{without})"
    )
    for row in table.first:
        yield from _report_row(row)


def _report_row(row: RowDifference) -> Iterator[str]:
    key = ", ".join(f"{name}={value!r}" for name, value in row.key.items())
    times = f" ({row.times} times)" if row.times > 1 else ""
    yield f"    {row.kind}: {key}{times}"
    for name, (live, rebuilt) in row.columns.items():
        yield f"      {name}: {live!r} should be {rebuilt!r}"
