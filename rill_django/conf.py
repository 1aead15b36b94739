"""The ``RILL`` setting, read late and typed."""

from __future__ import annotations

from collections.abc import Mapping
from difflib import get_close_matches
from functools import lru_cache
from typing import Annotated, Any, Literal

import msgspec
from django.conf import settings
from django.core.exceptions import ImproperlyConfigured
from django.core.signals import setting_changed

CENTURY = 100 * 365.25 * 24 * 3600
"""Seconds."""

# Whoever sets more has mistaken a unit, or has written infinity.
_Many = Annotated[int, msgspec.Meta(ge=1, le=1_000_000_000)]
_Tries = Annotated[int, msgspec.Meta(ge=1, le=1_000)]


class Configuration(msgspec.Struct, frozen=True, rename="upper", forbid_unknown_fields=True):
    """What may be in ``RILL = {…}``; names in capitals there.

    Attributes:
        cache_size: aggregates that each process keeps between commands; 0: none.
        conflict_tries: how often a command is tried in all when others commit first.
        poll_interval: seconds between two looks of an idle projection worker.
        handler_tries: how often a projection's handler is tried on an event before it is given up.
        batch_size: most events that a projection applies in one transaction.
        batch_seconds: how long its handlers go on in one transaction.
        retry_stopped_seconds: how often a worker tries again by itself what stands still.
        max_event_bytes: most bytes of one event's JSON, metadata included.
        max_events_per_commit: most events of one aggregate in one commit.
        max_commit_bytes: most bytes of the events of one aggregate in one commit.
        idempotency_seconds: how long the answer to an idempotency key is remembered.
        unknown_events: what of the log no code has to know: ``"refuse"``: nothing; ``"ignore"``: anything, as
            in Rill/Wheel; or the names of event types and aggregate types that are passed over.
        allow_flush: whether ``flush``, and migrations that are taken back, may empty a log that has events;
            ``None``: in databases of tests only.
        full_tracebacks: whether errors keep the frames of this library.
        api_permissions: dotted names of the permission classes that guard the API.
    """

    cache_size: Annotated[int, msgspec.Meta(ge=0, le=1_000_000_000)] = 20_000
    conflict_tries: _Tries = 15
    poll_interval: Annotated[float, msgspec.Meta(ge=0, le=3600)] = 0.02
    handler_tries: _Tries = 3
    batch_size: _Many = 10_000
    batch_seconds: Annotated[float, msgspec.Meta(ge=0.001, le=3600)] = 0.25
    retry_stopped_seconds: Annotated[float, msgspec.Meta(ge=0, le=CENTURY)] = 300.0
    max_event_bytes: _Many = 1_000_000
    max_events_per_commit: _Many = 10_000
    max_commit_bytes: _Many = 50_000_000
    idempotency_seconds: Annotated[float, msgspec.Meta(ge=1, le=CENTURY)] = 7 * 24 * 3600.0
    unknown_events: Literal["refuse", "ignore"] | tuple[str, ...] = "refuse"
    allow_flush: bool | None = None
    full_tracebacks: bool = False
    api_permissions: tuple[str, ...] = ("rest_framework.permissions.IsAuthenticated",)

    def passes_over(self, name: str) -> bool:
        """Whether no code has to know the event type, or aggregate type, of that name."""
        given = self.unknown_events
        return given == "ignore" or (not isinstance(given, str) and name in given)


def is_passed_over(name: str) -> bool:
    """Whether the settings in force say that no code has to know that name."""
    return configuration().passes_over(name)


def are_tracebacks_full() -> bool:
    """Whether errors keep the frames of this library; also if nobody can say so."""
    try:
        return configuration().full_tracebacks
    except ImproperlyConfigured:
        return True


@lru_cache(maxsize=1)
def configuration() -> Configuration:
    """Return the settings in force.

    Raises:
        ImproperlyConfigured: a name is unknown, or a value has the wrong type or is out of bounds.
    """
    given: Any = getattr(settings, "RILL", {})
    mistakes = mistakes_in(given)
    if mistakes:
        raise ImproperlyConfigured(" ".join(mistakes))
    return msgspec.convert(given, Configuration)


def mistakes_in(given: Any) -> list[str]:
    """Return what is wrong with a value of the setting ``RILL``, each in a sentence."""
    if not isinstance(given, Mapping):
        return [f"settings.RILL must be a dict, not {given!r}."]
    fields = {field.encode_name: field.type for field in msgspec.structs.fields(Configuration)}
    mistakes = []
    for name, value in given.items():
        if name not in fields:
            close = get_close_matches(str(name).upper(), fields, n=1)
            advice = (
                f"Did you mean {close[0]!r}?" if close else f"It may have: {', '.join(fields)}."
            )
            mistakes.append(f"settings.RILL has no {name!r}. {advice}")
            continue
        try:
            msgspec.convert(value, fields[name])
        except msgspec.ValidationError as error:
            mistakes.append(f"settings.RILL[{name!r}] is {value!r}: {error}.")
    return mistakes


def _reset(*, setting: str, **_: Any) -> None:
    if setting == "RILL":
        configuration.cache_clear()


setting_changed.connect(_reset, dispatch_uid="rill_django.conf")
