"""Rebuilds a projection, and prints the peak of this process's memory in the course of it, as JSON.

Run in a process of its own: ``python -m benchmarks.flights.memory flights.DepartureBoard``.
"""

from __future__ import annotations

import json
import re
import sys
from pathlib import Path

import django

MARKS = {"a quarter": 0.25, "half": 0.5}
STATUS = Path("/proc/self/status")


def peak_megabytes() -> float:
    """Return the most memory that this process has had at once."""
    if STATUS.exists():
        # Not getrusage(): on Linux that begins with what the parent had.
        found = re.search(r"^VmHWM:\s+(\d+) kB", STATUS.read_text(), re.MULTILINE)
        if found:
            return int(found[1]) * 1024 / 1e6
    import resource

    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    return peak / 1e6 if sys.platform == "darwin" else peak * 1024 / 1e6


def main(name: str) -> None:
    """Rebuild it."""
    django.setup()
    from rill_django.projections.rebuild import rebuild
    from rill_django.projections.registry import current_projections

    found = {}

    def look(name: str, position: int, head: int) -> None:
        for mark, part in MARKS.items():
            if mark not in found and position >= part * head:
                found[mark] = peak_megabytes()

    (projection,) = current_projections().named([name])
    rebuild(projection, progress=look)
    print(json.dumps({**found, "whole": peak_megabytes()}))


if __name__ == "__main__":
    main(*sys.argv[1:])
