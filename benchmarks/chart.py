"""The ratios as a picture: a bar for each, and the mark that it has to reach."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from html import escape
from pathlib import Path

from benchmarks.lines import Limited, Line
from benchmarks.report import DOCS
from benchmarks.work import BANK, FLIGHTS

PICTURE = DOCS / "images" / "benchmarks.svg"

WIDTH, LEFT, RIGHT = 820, 330, 150
ROW, BAR, GAP = 30, 16, 46
LONGEST = 6.0
"""Ratios beyond are cut off, unless a bar is; their number is written all the same."""

_STYLE = """
svg { --ink: #1f2328; --dim: #59636e; --line: #d1d9e0; --good: #1a7f37; --short: #bc4c00; --mark: #1f2328; }
@media (prefers-color-scheme: dark) {
  svg { --ink: #f0f6fc; --dim: #9198a1; --line: #3d444d; --good: #3fb950; --short: #f0883e; --mark: #f0f6fc; }
}
text { font: 13px system-ui, -apple-system, "Segoe UI", sans-serif; fill: var(--ink); }
.heading { font-weight: 600; font-size: 15px; } .dim { fill: var(--dim); font-size: 12px; }
.axis { stroke: var(--line); } .mark { stroke: var(--mark); stroke-width: 2; }
.good { fill: var(--good); } .short { fill: var(--short); }
"""


def draw(lines: Sequence[Line | Limited], path: Path = PICTURE) -> None:
    """Draw all ratios that have a bar to reach."""
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(picture([line for line in lines if isinstance(line, Line)]))


def picture(lines: Sequence[Line]) -> str:
    """Return the SVG."""
    parts: list[str] = []
    y = 34
    for heading, rows in _groups(lines):
        parts.append(f'<text class="heading" x="16" y="{y}">{escape(heading)}</text>')
        y += 12
        scale = _scale(rows)
        top = y
        for line, name in rows:
            parts += _row(line, name, y, scale)
            y += ROW
        parts.insert(
            len(parts) - 4 * len(rows),
            f'<line class="axis" x1="{LEFT}" x2="{LEFT}" y1="{top}" y2="{y}"/>',
        )
        y += GAP
    note = "A vertical stroke is the ratio to be reached."
    parts.append(f'<text class="dim" x="16" y="{y - 16}">{note}</text>')
    return "\n".join(
        [
            f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {WIDTH} {y}" '
            f'width="{WIDTH}" height="{y}" role="img" aria-labelledby="title">',
            '<title id="title">How many times as fast as others rill_django is</title>',
            f"<style>{_STYLE}</style>",
            *parts,
            "</svg>\n",
        ]
    )


def _groups(lines: Sequence[Line]) -> Iterator[tuple[str, list[tuple[Line, str]]]]:
    headings = {
        (BANK, "PostgreSQL", "eventsourcing"): "PostgreSQL: times as fast as eventsourcing",
        (BANK, "PostgreSQL", "floor"): "PostgreSQL: share of what hand-written SQL reaches",
        (BANK, "PostgreSQL", "small log"): "PostgreSQL: share of the speed with 10,000 events",
        (BANK, "SQLite", "eventsourcing"): "SQLite: times as fast as eventsourcing",
        (FLIGHTS, "PostgreSQL", "eventsourcing"): "Projections: times as fast as eventsourcing",
        (FLIGHTS, "PostgreSQL", "reading"): "Projections: share of the speed of reading alone",
        (FLIGHTS, "PostgreSQL", "one worker"): "Projections: times as fast as one worker",
    }
    for (domain, database, name), heading in headings.items():
        rows = [
            (line, name)
            for line in lines
            if (line.domain, line.database) == (domain, database) and name in line.bars
        ]
        if rows:
            yield heading, rows


def _scale(rows: Sequence[tuple[Line, str]]) -> float:
    """Pixels for a ratio of 1."""
    longest = max(max(line.ratio(name), line.bars[name]) for line, name in rows)
    most = max(LONGEST, *(1.1 * line.bars[name] for line, name in rows))
    return (WIDTH - LEFT - RIGHT) / min(most, max(1.0, longest))


def _row(line: Line, name: str, y: int, scale: float) -> list[str]:
    ratio, bar = line.ratio(name), line.bars[name]
    reached = line.is_reached(name)
    length = min(ratio * scale, WIDTH - LEFT - RIGHT)
    mark = LEFT + bar * scale
    end = max(LEFT + length, mark) + 8
    words = f"{ratio:.2f} ×" if reached else f"{ratio:.2f} × of {bar:.2g} ×"
    return [
        f'<text x="{LEFT - 10}" y="{y + 17}" text-anchor="end">{escape(line.title)}</text>',
        f'<rect class="{"good" if reached else "short"}" x="{LEFT}" y="{y + 4}" '
        f'width="{length:.1f}" height="{BAR}" rx="2"/>',
        f'<line class="mark" x1="{mark:.1f}" x2="{mark:.1f}" y1="{y + 1}" y2="{y + BAR + 7}"/>',
        f'<text x="{end:.1f}" y="{y + 17}">{words}</text>',
    ]
