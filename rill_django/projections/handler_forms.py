"""The forms that handlers may have, for type checkers. Nothing here runs."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, Concatenate, ParamSpec, Protocol, TypeVar, overload

from rill_django.domain.records import RecordedEvent
from rill_django.projections.handler_results import Deletion

P = ParamSpec("P")
S = TypeVar("S")
Row = TypeVar("Row")
T = TypeVar("T")
D = TypeVar("D", bound=Deletion | None)

BatchHandler = Callable[[Any, list[RecordedEvent]], object]


class HandlerMark(Protocol[P]):
    """What `on` returns: takes a method that gets the event's fields as arguments, or does not.

    The forms for a `RowProjection` come first: a checker says of the first form why it does not fit.
    """

    @overload
    def __call__(  # type: ignore[overload-overlap] # of events without fields
        self, handler: Callable[Concatenate[S, Row, RecordedEvent, P], D], /
    ) -> Callable[Concatenate[S, Row, RecordedEvent, P], D]: ...
    @overload
    def __call__(  # type: ignore[overload-overlap] # of events with one field
        self, handler: Callable[[S, Row, RecordedEvent], D], /
    ) -> Callable[[S, Row, RecordedEvent], D]: ...
    @overload
    def __call__(
        self, handler: Callable[Concatenate[S, RecordedEvent, P], T], /
    ) -> Callable[Concatenate[S, RecordedEvent, P], T]: ...
    @overload
    def __call__(
        self, handler: Callable[[S, RecordedEvent], T], /
    ) -> Callable[[S, RecordedEvent], T]: ...
