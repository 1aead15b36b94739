"""From rows of the data to reports."""

from datetime import datetime, timedelta, timezone

import pytest

from example_project.flights import dataset
from example_project.flights.dataset import MissingData, Period
from example_project.flights.names import airport_name, carrier_name
from example_project.flights.reports import report_of

ROW = {
    "year": "2013",
    "month": "1",
    "day": "1",
    "dep_time": "517",
    "sched_dep_time": "515",
    "dep_delay": "2",
    "arr_time": "830",
    "sched_arr_time": "819",
    "arr_delay": "11",
    "carrier": "UA",
    "flight": "1545",
    "tailnum": "N14228",
    "origin": "EWR",
    "dest": "IAH",
    "air_time": "227",
    "distance": "1400",
}
UTC = timezone.utc


def test_clocks_are_those_of_new_york():
    report = report_of(ROW)
    assert report.scheduled_at == datetime(2013, 1, 1, 10, 15, tzinfo=UTC)
    assert report.departed_at == datetime(2013, 1, 1, 10, 17, tzinfo=UTC)
    summer = report_of({**ROW, "month": "7"})
    assert summer.scheduled_at == datetime(2013, 7, 1, 9, 15, tzinfo=UTC)


@pytest.mark.parametrize(
    ("scheduled", "delay", "clock"),
    [
        ("2359", "1", "2400"),  # The data have midnight as 2400,
        ("2359", "1", "0"),  # but this would not be wrong.
        ("2300", "80", "20"),
        ("600", "-10", "550"),
        ("1", "-2", "2359"),
        ("900", "1301", "641"),
    ],
)
def test_a_departure_may_be_on_another_day_than_its_timetable(scheduled, delay, clock):
    report = report_of({**ROW, "sched_dep_time": scheduled, "dep_delay": delay, "dep_time": clock})
    assert report.departed_at - report.scheduled_at == timedelta(minutes=int(delay))
    assert report.scheduled_at.day == 1


@pytest.mark.parametrize("nothing", ["", "NA"])
def test_what_is_not_known_is_none(nothing):
    cancelled = report_of(
        {**ROW, **dict.fromkeys(("dep_time", "dep_delay", "arr_time", "tailnum"), nothing)}
        | dict.fromkeys(("arr_delay", "air_time"), nothing)
    )
    assert (cancelled.departed_at, cancelled.arrival_delay) == (None, None)
    assert (cancelled.tail_number, cancelled.air_time) == (None, None)
    diverted = report_of({**ROW, "arr_delay": nothing, "air_time": nothing})
    assert diverted.departed_at is not None
    assert diverted.arrival_delay is None


@pytest.mark.parametrize(
    "wrong",
    [
        {"dep_time": "518"},
        {"dep_time": "560"},
        {"sched_dep_time": "2500"},
        {"sched_dep_time": "2401"},
        {"dep_delay": "two"},
        {"month": "13"},
    ],
)
def test_contradictions_are_not_passed_over(wrong):
    with pytest.raises(ValueError, match=r"."):
        report_of({**ROW, **wrong})


@pytest.mark.parametrize("period", [Period.DAY, Period.WEEK, Period.MONTH])
def test_periods_are_complete_and_every_flight_is_unique(period):
    flights = {(one.carrier, one.number, one.date, one.origin) for one in period.reports()}
    assert len(flights) == period.flights


def test_the_year_is_in_a_package_that_may_be_missing(monkeypatch):
    monkeypatch.setattr(dataset, "PACKAGE", "there_is_no_such_package")
    with pytest.raises(MissingData, match="pip install --no-deps there_is_no_such_package"):
        next(Period.YEAR.reports())


def test_names_fall_back_to_the_code():
    assert carrier_name("UA") == "United Air Lines Inc."
    assert airport_name("JFK") == "John F Kennedy Intl"
    assert carrier_name("ZZ") == "ZZ"
