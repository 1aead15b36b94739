"""``manage.py projection_status``: where projections stand, for people and for monitors."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Any

import msgspec
from django.core.management.base import BaseCommand, CommandError, CommandParser

from rill_django.management.arguments import positive_float, positive_integer
from rill_django.management.signals import Interruptible
from rill_django.projections.health import problems_of, unsequenced_in_words
from rill_django.projections.registry import UnknownProjection
from rill_django.projections.status import ProjectionStatus, in_words, projection_statuses
from rill_django.store.moments import now

NUMBERS = ("position", "behind", "for", "parked")
"""Columns that are set to the right."""

ONLY_IF_ANY = ("part", "parked")


class Command(Interruptible, BaseCommand):
    """A shell round `projection_statuses` and `problems_of`."""

    help = "Shows where projections stand. The exit code is 1 if one stands still, or lags more than it may."

    def add_arguments(self, parser: CommandParser) -> None:
        """See Django."""
        parser.add_argument("names", nargs="*", help="projections to show; default: all")
        parser.add_argument(
            "--format", choices=("table", "json"), default="table", help="default: table"
        )
        parser.add_argument(
            "--max-lag",
            type=positive_integer,
            metavar="EVENTS",
            help="most events that may be in the log and not applied yet",
        )
        parser.add_argument(
            "--max-lag-seconds",
            type=positive_float,
            metavar="SECONDS",
            help="how old the oldest event that is not applied yet may be",
        )

    def handle(self, *args: Any, **options: Any) -> None:
        """See Django."""
        try:
            statuses = projection_statuses(names=options["names"])
        except UnknownProjection as error:
            raise CommandError(str(error)) from None
        if options["format"] == "json":
            self.stdout.write(as_json(statuses))
        elif statuses:
            self.stdout.write(as_table(statuses))
        else:
            self.stdout.write(
                "There are no projections yet. Write one in the projections.py of an installed app, and "
                "run `manage.py run_projections`."
            )
        problems = problems_of(statuses, options["max_lag"], options["max_lag_seconds"])
        wrong = "\n".join(f"{problem}." for problem in problems)
        if wrong:
            raise CommandError(wrong)
        if any(one.state is None and one.lag for one in statuses):
            self.stderr.write("Some have never been run. `manage.py run_projections` does.")


def as_json(statuses: Sequence[ProjectionStatus]) -> str:
    """Return one JSON object, indented; times in UTC, lags in events and seconds."""
    shown = {
        "head": max((one.head for one in statuses), default=0),
        "unsequenced_events": max((one.unsequenced.number for one in statuses), default=0),
        "unsequenced_seconds": round(
            max((one.unsequenced.oldest_seconds for one in statuses), default=0.0), 3
        ),
        "held_by": next(
            (one.unsequenced.holder for one in statuses if one.unsequenced.holder), None
        ),
        "projections": [
            {
                **_json_of(status),
                "parts": [
                    {
                        "partition": part.partition,
                        "partitions": part.partitions,
                        "is_beside": part.is_beside,
                        **_json_of(part),
                    }
                    for part in status.parts
                ],
            }
            for status in statuses
        ],
    }
    return msgspec.json.format(msgspec.json.encode(shown), indent=2).decode()


def _json_of(status: ProjectionStatus) -> dict[str, Any]:
    return {
        "name": status.name,
        "state": status.description,
        "version": status.version,
        "position": status.position,
        "lag_events": status.lag,
        "lag_seconds": round(status.lag_seconds, 3),
        "parked": status.parked,
        "updated_at": status.updated_at,
        "waiting_seconds": round(status.waiting_seconds, 3),
        "failed_event": status.failed_event or None,
        "error": status.reason or None,
    }


def as_table(statuses: Sequence[ProjectionStatus]) -> str:
    """Return aligned columns, and below them what waits for a position, and why some stand still."""
    pieces = [piece for status in statuses for piece in status.pieces]
    rows = [_row(piece) for piece in pieces]
    columns = [
        name for name in rows[0] if name not in ONLY_IF_ANY or any(row[name] for row in rows)
    ]
    lines = [dict(zip(columns, columns, strict=True)), *rows]
    widths = {name: max(len(line[name]) for line in lines) for name in columns}
    table = [
        "  ".join(
            line[name].rjust(widths[name]) if name in NUMBERS else line[name].ljust(widths[name])
            for name in columns
        ).rstrip()
        for line in lines
    ]
    return "\n".join([*table, *_unsequenced(statuses[0]), *_errors(pieces)])


def _row(piece: ProjectionStatus) -> dict[str, str]:
    moved = piece.updated_at
    return {
        "projection": piece.name,
        "part": piece.part,
        "state": piece.description,
        "position": f"{piece.position:,}",
        "behind": f"{piece.lag:,}",
        "for": piece.lag_time,
        "parked": f"{piece.parked:,}" if piece.parked else "",
        "last moved": f"{in_words((now() - moved).total_seconds())} ago" if moved else "–",
    }


def _unsequenced(status: ProjectionStatus) -> Iterator[str]:
    if words := unsequenced_in_words(status):
        yield f"\nNot in the order of the log yet: {words}."
    if status.unsequenced.holder:
        yield f"  {status.unsequenced.holder}"


def _errors(pieces: Sequence[ProjectionStatus]) -> Iterator[str]:
    for piece in pieces:
        if piece.error:
            part = f" ({piece.part})" if piece.part else ""
            at = f" at {piece.failed_event}" if piece.failed_event else ""
            if piece.is_waiting:
                at = f" waits for {piece.waits_for} since {piece.waiting_time}{at}"
            yield f"\n{piece.name}{part}{at or ' at an event'}:\n  {piece.reason}"
