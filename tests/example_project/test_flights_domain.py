"""What may happen to a flight, and in which order: plain Python, without a database."""

import datetime as dt

import pytest

from example_project.flights.domain import Flight
from rill_django import InvalidMessage
from rill_django.testing import given

NEW_YEAR = dt.date(2013, 1, 1)
WINTER = dt.timezone(dt.timedelta(hours=-5))
IN_THE_TIMETABLE = dt.datetime(2013, 1, 1, 5, 15, tzinfo=WINTER)
KEYS = ("UA", 1545, NEW_YEAR, "EWR")

FLIGHT = Flight(*KEYS)
SCHEDULED = FLIGHT.scheduled("IAH", IN_THE_TIMETABLE)
DEPARTED = SCHEDULED.departed(IN_THE_TIMETABLE, 0)
ARRIVED = DEPARTED.arrived(11)
DIVERTED = DEPARTED.diverted()
CANCELLED = SCHEDULED.cancelled()

ARGUMENTS = {
    Flight.schedule: ("IAH", IN_THE_TIMETABLE),
    Flight.depart: (IN_THE_TIMETABLE,),
    Flight.arrive: (11,),
    Flight.cancel: (),
    Flight.divert: (),
}


def after(minutes):
    return IN_THE_TIMETABLE + dt.timedelta(minutes=minutes)


class TestACourseOfEvents:
    def test_a_flight_is_scheduled(self):
        given(FLIGHT).when(Flight.schedule, "IAH", IN_THE_TIMETABLE, "N14228", 1400).then(
            Flight.scheduled.message(*KEYS, "IAH", IN_THE_TIMETABLE, "N14228", 1400)
        )

    @pytest.mark.parametrize("delay", [0, 2, -12, 1301])
    def test_the_delay_follows_from_the_timetable(self, delay):
        given(SCHEDULED).when(Flight.depart, after(delay)).then(
            Flight.departed.message(*KEYS, after(delay), delay)
        )

    def test_clocks_of_other_time_zones_tell_the_same_delay(self):
        given(SCHEDULED).when(Flight.depart, after(7).astimezone(dt.timezone.utc)).then(
            Flight.departed.message(*KEYS, after(7), 7)
        )

    def test_a_flight_arrives(self):
        given(DEPARTED).when(Flight.arrive, -3, 227).then(Flight.arrived.message(*KEYS, -3, 227))

    def test_a_flight_is_diverted(self):
        given(DEPARTED).when(Flight.divert).then(Flight.diverted.message(*KEYS))

    def test_a_flight_is_cancelled(self):
        given(SCHEDULED).when(Flight.cancel).then(Flight.cancelled.message(*KEYS))


@pytest.mark.parametrize(
    ("flight", "command", "reason"),
    [
        (SCHEDULED, Flight.schedule, "already-scheduled"),
        (DEPARTED, Flight.schedule, "already-scheduled"),
        (ARRIVED, Flight.schedule, "already-scheduled"),
        (DIVERTED, Flight.schedule, "already-scheduled"),
        (CANCELLED, Flight.schedule, "already-scheduled"),
        (FLIGHT, Flight.depart, "not-scheduled"),
        (DEPARTED, Flight.depart, "already-departed"),
        (ARRIVED, Flight.depart, "already-arrived"),
        (DIVERTED, Flight.depart, "already-diverted"),
        (CANCELLED, Flight.depart, "already-cancelled"),
        (FLIGHT, Flight.arrive, "not-scheduled"),
        (SCHEDULED, Flight.arrive, "not-departed"),
        (ARRIVED, Flight.arrive, "already-arrived"),
        (DIVERTED, Flight.arrive, "already-diverted"),
        (CANCELLED, Flight.arrive, "already-cancelled"),
        (FLIGHT, Flight.divert, "not-scheduled"),
        (SCHEDULED, Flight.divert, "not-departed"),
        (ARRIVED, Flight.divert, "already-arrived"),
        (DIVERTED, Flight.divert, "already-diverted"),
        (CANCELLED, Flight.divert, "already-cancelled"),
        (FLIGHT, Flight.cancel, "not-scheduled"),
        (DEPARTED, Flight.cancel, "already-departed"),
        (ARRIVED, Flight.cancel, "already-arrived"),
        (DIVERTED, Flight.cancel, "already-diverted"),
        (CANCELLED, Flight.cancel, "already-cancelled"),
    ],
)
def test_what_cannot_be_is_rejected(flight, command, reason):
    given(flight).when(command, *ARGUMENTS[command]).then_rejected(reason)


def test_a_rejection_of_a_second_timetable_says_how_the_flight_stands():
    given(CANCELLED).when(Flight.schedule, *ARGUMENTS[Flight.schedule]).then_rejected(
        "already-scheduled", status="cancelled"
    )


@pytest.mark.parametrize(
    ("keys", "field"),
    [
        (("ua", 1545, NEW_YEAR, "EWR"), "carrier"),
        (("UA\n", 1545, NEW_YEAR, "EWR"), "carrier"),
        (("UA", 0, NEW_YEAR, "EWR"), "number"),
        (("UA", 10_000, NEW_YEAR, "EWR"), "number"),
        (("UA", 1545, "1 January", "EWR"), "date"),
        (("UA", 1545, dt.date.max, "EWR"), "date"),
        (("UA", 1545, dt.date.min, "EWR"), "date"),
        (("UA", 1545, NEW_YEAR, "Newark"), "origin"),
    ],
)
def test_keys_have_a_form(keys, field):
    with pytest.raises(InvalidMessage) as refused:
        Flight(*keys)
    assert refused.value.field == field


@pytest.mark.parametrize(
    ("arguments", "field"),
    [
        (("EWR", IN_THE_TIMETABLE), "destination"),
        (("Houston", IN_THE_TIMETABLE), "destination"),
        (("IAH", after(24 * 60)), "departure_at"),
        (("IAH", IN_THE_TIMETABLE.replace(tzinfo=None)), "departure_at"),
        (("IAH", IN_THE_TIMETABLE, "N14228", 0), "distance"),
        (("IAH", IN_THE_TIMETABLE, "N14228", 10**12), "distance"),
        (("IAH", IN_THE_TIMETABLE, "N14228 of United"), "tail_number"),
        (("IAH", IN_THE_TIMETABLE, "N1\x00"), "tail_number"),
    ],
)
def test_a_timetable_has_to_make_sense(arguments, field):
    with pytest.raises(InvalidMessage) as refused:
        FLIGHT.schedule(*arguments)
    assert refused.value.field == field


@pytest.mark.parametrize("arguments", [(10**9,), (-(10**9),), (11, 10**9)])
def test_an_arrival_has_to_make_sense(arguments):
    with pytest.raises(InvalidMessage):
        DEPARTED.arrive(*arguments)


@pytest.mark.parametrize(
    "at",
    [
        dt.datetime.max.replace(tzinfo=dt.timezone.utc),
        dt.datetime.min.replace(tzinfo=dt.timezone.utc),
        after(7 * 24 * 60 + 1),
    ],
)
def test_a_departure_far_from_the_timetable_is_rejected(at):
    given(SCHEDULED).when(Flight.depart, at).then_rejected(
        "not-near-its-timetable", departure_at=IN_THE_TIMETABLE
    )


def test_a_stream_is_named_after_the_flight():
    assert FLIGHT.stream == "flights.Flight/UA/1545/2013-01-01/EWR"
