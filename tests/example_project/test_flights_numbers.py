"""Every row of every projection, against figures taken straight from the data.

The figures are made by code that shares nothing with the example: the module csv, and sums.
"""

import csv
import gzip
from collections import Counter, defaultdict
from datetime import date, datetime, timedelta, timezone
from pathlib import Path

from django.test import TestCase

import example_project.flights
from example_project.flights.dataset import Period
from example_project.flights.models import (
    AirportDay,
    CarrierPunctuality,
    Departure,
    DepartureHour,
)
from example_project.flights.recording import record
from rill_django.models import Event, Position
from rill_django.projections.worker import catch_up

JANUARY = Path(example_project.flights.__file__).parent / "data" / "2013-01.csv.gz"
EASTERN_STANDARD_TIME = timezone(timedelta(hours=-5))


def rows_of_the_week():
    with gzip.open(JANUARY, "rt", encoding="utf-8") as lines:
        return [row for row in csv.DictReader(lines) if int(row["day"]) <= 7]


def sums(rows, *keys):
    """Sums by key, under the names of the models' fields."""
    found = defaultdict(Counter)
    for row in rows:
        of = found[tuple(key(row) for key in keys)]
        of["scheduled"] += 1
        if row["dep_time"]:
            of["departed"] += 1
            of["departed_late"] += int(row["dep_delay"]) >= 15
            of["departure_delays"] += int(row["dep_delay"])
        else:
            of["cancelled"] += 1
        if row["arr_delay"]:
            of["arrived"] += 1
            of["arrived_late"] += int(row["arr_delay"]) >= 15
            of["arrival_delays"] += int(row["arr_delay"])
        elif row["dep_time"]:
            of["diverted"] += 1
    return found


def day_of(row):
    return date(2013, 1, int(row["day"]))


def integer(text):
    return int(text) if text else None


class TestTheFirstWeek(TestCase):
    @classmethod
    def setUpTestData(cls):
        cls.rows = rows_of_the_week()
        cls.tally = record(Period.WEEK.reports())
        catch_up()

    def test_all_flights_are_recorded(self):
        assert len(self.rows) == 6_099
        assert (self.tally.recorded, self.tally.already_there) == (6_099, 0)
        assert not self.tally.refused

    def test_the_log_has_an_event_for_everything_that_happened(self):
        departed = sum(row["dep_time"] != "" for row in self.rows)
        assert departed == 6_064
        expected = len(self.rows) * 2 + departed  # scheduled, and cancelled or two more
        assert Event.objects.count() == Position.objects.count() == self.tally.events == expected
        assert Event.objects.filter(version=0).count() == len(self.rows)

    def test_the_departure_board(self):
        expected = set()
        for row in self.rows:
            scheduled = int(row["sched_dep_time"])
            if not row["dep_time"]:
                status = "cancelled"
            else:
                status = "arrived" if row["arr_delay"] else "diverted"
            expected.add(
                (
                    row["carrier"],
                    int(row["flight"]),
                    day_of(row),
                    row["origin"],
                    row["dest"],
                    row["tailnum"],
                    int(row["distance"]),
                    datetime(
                        2013,
                        1,
                        int(row["day"]),
                        scheduled // 100,
                        scheduled % 100,
                        tzinfo=EASTERN_STANDARD_TIME,
                    ),
                    status,
                    integer(row["dep_delay"]),
                    integer(row["arr_delay"]),
                    integer(row["air_time"]),
                )
            )
        found = Departure.objects.values_list(
            "carrier",
            "number",
            "date",
            "origin",
            "destination",
            "tail_number",
            "distance",
            "scheduled_at",
            "status",
            "departure_delay",
            "arrival_delay",
            "air_time",
        )
        assert len(found) == len(self.rows)
        assert set(found) == expected

    def test_punctuality_by_carrier(self):
        expected = sums(self.rows, lambda row: row["carrier"])
        found = {(one.carrier,): one for one in CarrierPunctuality.objects.all()}
        assert found.keys() == expected.keys()
        assert len(found) == 15
        for key, of in expected.items():
            row = found[key]
            assert row.flights == of["scheduled"]
            for name in ("departed", "cancelled", "arrived", "diverted"):
                assert getattr(row, name) == of[name], (key, name)
            for name in ("departed_late", "departure_delays", "arrived_late", "arrival_delays"):
                assert getattr(row, name) == of[name], (key, name)
            assert row.mean_departure_delay == of["departure_delays"] / of["departed"]
            assert row.mean_arrival_delay == of["arrival_delays"] / of["arrived"]
            on_time = of["departed"] - of["departed_late"]
            assert row.on_time == on_time / of["departed"]

    def test_days_at_the_airports(self):
        expected = sums(self.rows, lambda row: row["origin"], day_of)
        found = {(one.origin, one.date): one for one in AirportDay.objects.all()}
        assert found.keys() == expected.keys()
        assert len(found) == 3 * 7
        for key, of in expected.items():
            row = found[key]
            for name in ("scheduled", "departed", "cancelled", "departed_late", "departure_delays"):
                assert getattr(row, name) == of[name], (key, name)
            assert row.mean_departure_delay == of["departure_delays"] / of["departed"]

    def test_delays_by_hour(self):
        expected = {
            key: of
            for key, of in sums(
                self.rows,
                lambda row: row["origin"],
                lambda row: int(row["sched_dep_time"]) // 100,
            ).items()
            if of["departed"]
        }
        found = {(one.origin, one.hour): one for one in DepartureHour.objects.all()}
        assert found.keys() == expected.keys()
        for key, of in expected.items():
            for name in ("departed", "departed_late", "departure_delays"):
                assert getattr(found[key], name) == of[name], (key, name)

    def test_a_second_time_changes_nothing(self):
        projections = (Departure, CarrierPunctuality, AirportDay, DepartureHour)
        before = [list(model.objects.order_by("pk").values()) for model in projections]
        events = Event.objects.count()
        tally = record(Period.WEEK.reports())
        catch_up()
        assert (tally.recorded, tally.events, tally.already_there) == (0, 0, 6_099)
        assert not tally.refused
        assert Event.objects.count() == events
        assert [list(model.objects.order_by("pk").values()) for model in projections] == before
