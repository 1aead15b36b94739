"""The benchmarks' report says what was reached and what was not; and those of projections run."""

from __future__ import annotations

import subprocess
import sys
from itertools import islice

import pytest
from django.db import connection

from benchmarks import chart, report
from benchmarks.compare import ON_POSTGRESQL, ON_SQLITE, by_domain
from benchmarks.flights import data
from benchmarks.lines import Limited, Line
from benchmarks.work import BANK, FLIGHTS
from benchmarks.works import WORKS
from example_project.flights.recording import decide
from rill_django import Rejected
from tests.servers import ROOT

AROUND = {
    "cores": 2,
    "python": "3.11.7",
    "server": "PostgreSQL 15 (fsync on)",
    "milliseconds_per_fdatasync": 0.2,
    "flights": "some flights",
}


def line(**changes):
    given = {
        "database": "PostgreSQL",
        "work": "catch-up",
        "title": "catch up",
        "unit": "events/s",
        "speeds": {"rill": 60_000.0, "eventsourcing": 1_500.0},
        "bars": {"eventsourcing": 30.0},
        "domain": FLIGHTS,
        "done": {"rill": 1_000_000, "eventsourcing": 9_000},
    }
    return Line(**{**given, **changes})


def limited(**figures):
    return Limited(
        "PostgreSQL", "visible", "commit to row", "ms", figures, {"p50": 30.0}, domain=FLIGHTS
    )


def test_a_speed_is_shown_with_what_it_is_compared_with_and_whether_the_bar_is_reached():
    text = report.as_markdown([line()], AROUND)
    assert (
        "| catch up (events/s) | 1,000,000 | 60,000 | eventsourcing, with 9,000 events | 1,500 "
        "| 40.00 (≥ 30) |" in text
    )
    assert "The log: some flights." in text


def test_a_bar_that_is_missed_is_shown_as_missed():
    slow = line(speeds={"rill": 30_000.0, "eventsourcing": 1_500.0})
    assert "20.00 (**not yet** 30)" in report.as_markdown([slow], AROUND)
    assert "NOT REACHED (30 ×)" in report.as_table([slow])


def test_several_things_beside_one_speed_have_a_row_each():
    three = line(
        speeds={"rill": 100.0, "reading": 200.0, "one projection": 125.0},
        bars={"reading": 1 / 1.5},
        done={"rill": 10, "reading": 10, "one projection": 10},
    )
    text = report.as_markdown([three], AROUND)
    assert "| 10 | 100 | reading | 200 | 0.50 (**not yet** 0.67) |" in text
    assert "|  |  |  | one projection | 125 | 0.80 |" in text


@pytest.mark.parametrize(("median", "shown"), [(29.96, "≤ 30"), (30.04, "**not yet** 30")])
def test_a_limit_is_kept_by_what_is_not_more(median, shown):
    text = report.as_markdown([limited(p50=median, longest=80.0)], AROUND)
    assert f"| commit to row (ms) | p50 | {median:,.1f} | {shown} |" in text
    assert "|  | longest | 80.0 | – |" in text


def test_lines_of_the_bank_and_of_the_flights_are_not_mixed():
    bank = line(work="read", title="read", domain=BANK, done={})
    text = report.as_markdown([bank, line()], AROUND)
    assert text.index("| read (events/s)") < text.index("### Projections")
    assert text.count("| catch up (events/s)") == 1


def test_the_picture_has_room_for_a_large_bar():
    picture = chart.picture([line()])
    marks = [float(part.split('"')[0]) for part in picture.split('class="mark" x1="')[1:]]
    assert marks
    assert all(chart.LEFT < mark < chart.WIDTH - chart.RIGHT for mark in marks)


def test_works_are_split_by_what_their_contestants_are_about():
    on_postgresql = {
        domain: (works, names) for domain, works, names in by_domain([], ON_POSTGRESQL)
    }
    assert sum(len(works) for works, _ in on_postgresql.values()) == len(WORKS)
    assert [domain for domain, _, _ in by_domain([], ON_SQLITE)] == [BANK]
    # The peer's environment is not made for what it has no part in.
    ((_, _, names),) = by_domain(["rebuild", "memory"], ON_POSTGRESQL)
    assert names == ["rill"]


def test_without_the_whole_year_there_are_as_many_flights_that_the_domain_accepts():
    from example_project.flights.domain import Flight

    january = 27_004
    reports = list(islice(data._januaries(), january + 500))
    keys = [(one.carrier, one.number, one.date, one.origin) for one in reports]
    assert len(set(keys)) == len(keys)
    for one, key in zip(reports[january:], keys[january:], strict=True):
        assert not isinstance(decide(Flight(*key), one), Rejected)


@pytest.mark.django_db
def test_the_projections_are_measured():
    if connection.vendor != "postgresql":
        pytest.skip("they are measured on PostgreSQL only")
    works = ["rebuild", "rebuild-2", "three", "visible", "memory"]
    run = subprocess.run(
        [
            *(sys.executable, "-W", "error", "-m", "benchmarks", "--on", "postgresql"),
            *("--rounds", "1", "--scale", "0.001", *works),
        ],
        capture_output=True,
        text=True,
        timeout=300,
        cwd=ROOT,
    )
    assert run.returncode == 0, run.stderr
    for work in works:
        assert f"PostgreSQL: {WORKS[work].title} ({WORKS[work].unit})" in run.stdout
