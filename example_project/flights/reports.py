"""One flight as its carrier reported it, read from a row of the data."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import date, datetime, timedelta
from zoneinfo import ZoneInfo

NEW_YORK = ZoneInfo("America/New_York")
"""Where the clocks are that departures are reported by."""


@dataclass(frozen=True)
class Report:
    """What is known of a flight.

    Attributes:
        carrier, number, date, origin: which flight; unique in the data.
        destination: FAA code of an airport.
        scheduled_at: departure by the timetable.
        departed_at: actual departure; ``None``: the flight was cancelled.
        arrival_delay: minutes, negative: early; ``None``: cancelled or diverted.
        tail_number: of the aircraft; ``None``: not reported, as for most cancelled flights.
        air_time: minutes in the air; ``None``: as for `arrival_delay`.
        distance: miles.
    """

    carrier: str
    number: int
    date: date
    origin: str
    destination: str
    scheduled_at: datetime
    departed_at: datetime | None
    arrival_delay: int | None
    tail_number: str | None
    air_time: int | None
    distance: int


def report_of(row: Mapping[str, str]) -> Report:
    """Return what a row of the data says.

    Times are in it as numbers, 517 for 5:17 in the morning, by the clocks at the airport; whether 0:20 was
    before or after the scheduled 23:50 is told by the delay alone. So the departure is the scheduled
    one and the delay, and the clock time only has to agree with it. For arrivals the clocks are those
    of a destination whose time zone is not in the data: they are kept as delays.

    Raises:
        ValueError: a value cannot be read, or time and delay of the departure contradict each other.
    """
    day = date(int(row["year"]), int(row["month"]), int(row["day"]))
    scheduled_at = datetime.combine(day, datetime.min.time(), NEW_YORK) + clock(
        row["sched_dep_time"]
    )
    departed_at = None
    if known(row["dep_time"]):
        # Both sides of the sum are times on the wall in New York, as they are in the data.
        departed_at = scheduled_at + timedelta(minutes=int(row["dep_delay"]))
        shown = timedelta(hours=departed_at.hour, minutes=departed_at.minute)
        if shown != clock(row["dep_time"]) % timedelta(days=1):
            raise ValueError(
                f"{row['carrier']} {row['flight']} on {day}: scheduled for {row['sched_dep_time']} and "
                f"{row['dep_delay']} minutes late, it cannot have left at {row['dep_time']}"
            )
    return Report(
        carrier=row["carrier"],
        number=int(row["flight"]),
        date=day,
        origin=row["origin"],
        destination=row["dest"],
        scheduled_at=scheduled_at,
        departed_at=departed_at,
        # A diverted flight may have an arrival time, but never a delay.
        arrival_delay=number(row["arr_delay"]),
        tail_number=row["tailnum"] if known(row["tailnum"]) else None,
        air_time=number(row["air_time"]),
        distance=int(row["distance"]),
    )


def known(text: str) -> bool:
    """Whether there is a value; R, where the data come from, writes NA for none."""
    return text not in ("", "NA")


def number(text: str) -> int | None:
    """Return a whole number, or ``None`` where there is no value."""
    return int(text) if known(text) else None


def clock(text: str) -> timedelta:
    """Return the time since midnight of a clock time: ``517`` is 5:17, ``2400`` the midnight after.

    Raises:
        ValueError: no clock shows that.
    """
    hours, minutes = divmod(int(text), 100)
    if not (0 <= hours < 24 and 0 <= minutes < 60) and (hours, minutes) != (24, 0):
        raise ValueError(f"{text!r} is not a clock time")
    return timedelta(hours=hours, minutes=minutes)
