"""The result as a table, as JSON, and as markdown between two markers of a page."""

from __future__ import annotations

import json
import os
import platform
import tempfile
import time
from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path
from typing import Any

from benchmarks.flights import data
from benchmarks.lines import US, Limited, Line
from benchmarks.work import BANK, FLIGHTS

DOCS = Path(__file__).resolve().parent.parent / "docs"
PAGE = DOCS / "benchmarks.md"
JSON = DOCS / "benchmarks.json"
BEGIN, END = "<!-- benchmarks: begin -->", "<!-- benchmarks: end -->"
SMALL_LOG = "small log"
SYNCS = 50


def surroundings(server: str) -> dict[str, Any]:
    """Return what the figures depend on."""
    return {
        "cores": os.cpu_count(),
        "python": platform.python_version(),
        "server": server,
        "milliseconds_per_fdatasync": round(_milliseconds_per_fdatasync(), 2),
        "flights": data.source(),
    }


def _milliseconds_per_fdatasync() -> float:
    """What each commit has to wait for at least."""
    times = []
    with tempfile.TemporaryFile() as file:
        for _ in range(SYNCS):
            file.write(b"x" * 8192)
            file.flush()
            begin = time.perf_counter()
            os.fdatasync(file.fileno())
            times.append(time.perf_counter() - begin)
    return 1000 * sorted(times)[SYNCS // 2]


def as_table(lines: Sequence[Line | Limited]) -> str:
    """Return the lines for a terminal."""
    rows = [line for one in lines for line in (_heading(one), *_figures(one), "")]
    return "\n".join(rows)


def _heading(line: Line | Limited) -> str:
    return f"{line.database}: {line.title} ({line.unit})"


def _figures(line: Line | Limited) -> list[str]:
    return _speeds(line) if isinstance(line, Line) else _limited(line)


def _limited(line: Limited) -> list[str]:
    return [
        f"  {name:22}{figure:>12,.1f}{'':14}{_limit_verdict(line, name)}"
        for name, figure in line.figures.items()
    ]


def _limit_verdict(line: Limited, name: str) -> str:
    if name not in line.bars:
        return ""
    return f"{'reached' if line.is_reached(name) else 'NOT REACHED'} (≤ {line.bars[name]:g})"


def _speeds(line: Line) -> list[str]:
    return [
        f"  {name:22}{speed:>12,.0f}{_ratio(line, name):>12}  {_verdict(line, name)}"
        f"{_lost(line, name)}"
        for name, speed in line.speeds.items()
    ]


def _ratio(line: Line, name: str) -> str:
    return "" if name == US else f"{line.ratio(name):.2f} ×"


def _verdict(line: Line, name: str) -> str:
    if name not in line.bars:
        return ""
    return f"{'reached' if line.is_reached(name) else 'NOT REACHED'} ({line.bars[name]:.2g} ×) "


def _lost(line: Line, name: str) -> str:
    return f"lost: {line.lost[name]}" if name in line.lost else ""


def as_markdown(lines: Sequence[Line | Limited], around: dict[str, Any]) -> str:
    """Return the lines as tables: of the bank, one for each database, and of the projections."""
    parts = [
        "Medians of rounds that take turns; "
        f"{around['cores']} cores, Python {around['python']}, {around['server']}. "
        f"One `fdatasync` takes {around['milliseconds_per_fdatasync']} ms there, and every commit "
        "waits for one. A ratio says how many times as fast rill_django is.",
    ]
    bank = [line for line in lines if isinstance(line, Line) and line.domain == BANK]
    for database in dict.fromkeys(line.database for line in bank):
        some = [line for line in bank if line.database == database]
        parts += [f"### {database}", _markdown_table(some)]
        parts += [
            f"Beside the log of the last line, one of 10,000 events takes {line.speeds[SMALL_LOG]:,.0f} "
            f"{line.unit}: {_markdown_ratio(line, SMALL_LOG)}."
            for line in some
            if SMALL_LOG in line.speeds
        ]
    flights = [line for line in lines if line.domain == FLIGHTS]
    if flights:
        parts += [
            "### Projections, on PostgreSQL",
            f"The log: {around['flights']}.",
            _rows(["work", "events", "speed", "beside", "its speed", "ratio"], _beside(flights)),
            _rows(["work", "", "figure", "limit"], _limits(flights)),
        ]
    return "\n\n".join(part for part in parts if part)


def _rows(head: Sequence[str], rows: Iterable[Sequence[str]]) -> str:
    """Return a table, or nothing if it has no rows. All columns but the first are of figures."""
    all = [head, ["---", *["---:"] * (len(head) - 1)], *rows]
    return "\n".join(f"| {' | '.join(row)} |" for row in all) if len(all) > 2 else ""


def _beside(lines: Sequence[Line | Limited]) -> Iterator[list[str]]:
    """Yield a row for everything that one of our speeds is compared with."""
    for line in lines:
        if not isinstance(line, Line):
            continue
        work = [f"{line.title} ({line.unit})", f"{line.done[US]:,}", f"{line.speeds[US]:,.0f}"]
        for column, speed in line.speeds.items():
            if column != US:
                beside = column
                if line.done[column] != line.done[US]:
                    beside = f"{column}, with {line.done[column]:,} events"
                yield [*work, beside, f"{speed:,.0f}", _markdown_ratio(line, column)]
                work = ["", "", ""]


def _limits(lines: Sequence[Line | Limited]) -> Iterator[list[str]]:
    """Yield a row for every figure that has a limit, or is beside one that has."""
    for line in lines:
        if not isinstance(line, Limited):
            continue
        work = f"{line.title} ({line.unit})"
        for name, figure in line.figures.items():
            limit = "–"
            if name in line.bars:
                kept = "≤" if line.is_reached(name) else "**not yet**"
                limit = f"{kept} {line.bars[name]:g}"
            yield [work, name, f"{figure:,.1f}", limit]
            work = ""


def _markdown_table(lines: Sequence[Line]) -> str:
    names = list(dict.fromkeys(name for line in lines for name in line.speeds if name != SMALL_LOG))
    head = ["work", *names, "× eventsourcing", "× floor", "events lost"]
    rows = []
    for line in lines:
        speeds = [f"{line.speeds[name]:,.0f}" if name in line.speeds else "–" for name in names]
        rows.append(
            [
                f"{line.title} ({line.unit})",
                *speeds,
                _markdown_ratio(line, "eventsourcing"),
                _markdown_ratio(line, "floor"),
                ", ".join(f"{name}: {lost}" for name, lost in line.lost.items() if lost)
                or ("none" if line.lost else "–"),
            ]
        )
    return _rows(head, rows)


def _markdown_ratio(line: Line, name: str) -> str:
    if name not in line.speeds:
        return "–"
    ratio = f"{line.ratio(name):.2f}"
    if name not in line.bars:
        return ratio
    verdict = "≥" if line.is_reached(name) else "**not yet**"
    return f"{ratio} ({verdict} {line.bars[name]:.2g})"


def write(lines: Sequence[Line | Limited], around: dict[str, Any]) -> None:
    """Write the JSON, and the tables into the page."""
    found = {"surroundings": around, "lines": [line.as_dict() for line in lines]}
    JSON.write_text(json.dumps(found, indent=2) + "\n")
    before, rest = PAGE.read_text().split(BEGIN)
    after = rest.split(END)[1]
    PAGE.write_text(f"{before}{BEGIN}\n\n{as_markdown(lines, around)}\n\n{END}{after}")
