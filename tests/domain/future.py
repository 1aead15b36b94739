"""A user's module whose annotations are not evaluated."""

from __future__ import annotations

from datetime import date
from typing import TYPE_CHECKING

import msgspec

from rill_django import Aggregate, event, key

if TYPE_CHECKING:
    from decimal import Decimal


class Stop(msgspec.Struct, frozen=True):
    town: str


class Journey(Aggregate):
    traveller: str = key()
    begins: date = key()
    stops: tuple[Stop, ...] = ()

    @event
    def stopped(self, at: Stop, on: date | None = None) -> Journey:
        return self.evolve(stops=(*self.stops, at))


def journey_inside_a_function() -> type[Aggregate]:
    class Inner(Aggregate):
        traveller: str = key()

        @event
        def stopped(self, at: Stop) -> Inner:
            return self.evolve()

    return Inner


def journey_with_an_import_for_types_only() -> type[Aggregate]:
    class Paid(Aggregate):
        traveller: str = key()

        @event
        def paid(self, amount: Decimal) -> None:
            pass

    return Paid
