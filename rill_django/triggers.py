"""Side effects after commit: ``@after_commit(Slot.coin_inserted)``.

Source: Rill/Wheel's ``wrap-new-events-callback`` and ``trigger``. A trigger is called once the events are
final, in the process that committed them, and not again if that process dies before: what must not be lost
is for a program of its own, which follows the log by a subscription and keeps its position. It is not for a
projection, whose handlers a rebuild calls again.
"""

from __future__ import annotations

import logging
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from contextvars import ContextVar
from typing import Any, Concatenate, ParamSpec, Protocol, TypeVar, overload

from rill_django.domain.definitions import EventType
from rill_django.domain.errors import DefinitionError
from rill_django.domain.metadata import metadata
from rill_django.domain.payload_arguments import with_payload
from rill_django.domain.records import RecordedEvent
from rill_django.domain.tracebacks import shorten

logger = logging.getLogger("rill_django.triggers")

Trigger = Callable[[RecordedEvent], object]
F = TypeVar("F", bound=Callable[..., object])
P = ParamSpec("P")
T = TypeVar("T")
Triggers = dict[str, list[Trigger]]

_default: Triggers = {}
_current: ContextVar[Triggers] = ContextVar("rill_triggers", default=_default)


class TriggerMark(Protocol[P]):
    """What `after_commit` returns, for type checkers."""

    @overload
    def __call__(
        self, function: Callable[Concatenate[RecordedEvent, P], T], /
    ) -> Callable[Concatenate[RecordedEvent, P], T]: ...
    @overload
    def __call__(
        self, function: Callable[[RecordedEvent], T], /
    ) -> Callable[[RecordedEvent], T]: ...


@overload
def after_commit(type: EventType[Any, P], /, *types: EventType[Any, P]) -> TriggerMark[P]: ...
@overload
def after_commit(  # Of events with different fields.
    type: EventType[Any, ...], second: EventType[Any, ...], /, *types: EventType[Any, ...]
) -> TriggerMark[...]: ...
def after_commit(*types: EventType[Any, ...]) -> Any:
    """Call the function with each event of these types once it is committed.

    It may take the events' fields as arguments behind the event, as handlers of projections may; see `on`.

    Commands that it runs carry the event's ``correlation_id`` on and name the event as their
    ``causation_id``. An exception is logged and stops nobody: the event has happened.

    Raises:
        DefinitionError: something else than event types was given, or the function takes other arguments.
    """
    if not types or not all(isinstance(one, EventType) for one in types):
        raise DefinitionError(
            f"@after_commit takes event types, e.g. @after_commit(Slot.coin_inserted); got {types!r}"
        )

    def register(function: F) -> F:
        name = getattr(function, "__qualname__", repr(function))
        for one in types:
            trigger = with_payload(function, one, ("event",), f"@after_commit: {name}")
            _current.get().setdefault(one.name, []).append(trigger)
        return function

    return register


@contextmanager
def isolated_triggers() -> Iterator[None]:
    """Start without triggers inside the ``with`` block: for tests that define their own."""
    token = _current.set({})
    try:
        yield
    finally:
        _current.reset(token)


def fire_triggers(events: Sequence[RecordedEvent]) -> None:
    """Call the triggers of these events, in the order of events and of definition."""
    triggers = _current.get()
    for event in events:
        for trigger in triggers.get(event.type, ()):
            correlation = event.metadata.get("correlation_id") or event.identity
            try:
                with metadata(correlation_id=correlation, causation_id=event.identity):
                    trigger(event)
            except Exception as error:
                shorten(error, keeps_first=False)
                logger.error(
                    "trigger %s failed on %s (%s)",
                    getattr(trigger, "__qualname__", trigger),
                    event.identity,
                    event.type,
                    exc_info=error,
                )
