"""The ``RILL`` setting, read late and typed."""

from __future__ import annotations

from functools import lru_cache
from typing import Any, Literal

import msgspec
from django.conf import settings
from django.core.exceptions import ImproperlyConfigured
from django.core.signals import setting_changed


class Configuration(msgspec.Struct, frozen=True, rename="upper", forbid_unknown_fields=True):
    """What may be in ``RILL = {…}``; names in capitals there.

    Attributes:
        cache_size: aggregates that each process keeps between commands; 0: none.
        conflict_tries: how often a command is tried in all when others commit first.
        poll_interval: seconds between two looks of an idle projection worker.
        handler_tries: how often a projection's handler is tried on an event before it is given up.
        batch_size: most events that a projection applies in one transaction.
        max_event_bytes: most bytes of one event's JSON, metadata included.
        max_events_per_commit: most events of one aggregate in one commit.
        max_commit_bytes: most bytes of the events of one aggregate in one commit.
        idempotency_seconds: how long the answer to an idempotency key is remembered.
        unknown_events: what of the log no code has to know: ``"refuse"``: nothing; ``"ignore"``: anything, as
            in Rill/Wheel; or the names of event types and aggregate types that are passed over.
        api_permissions: dotted names of the permission classes that guard the API.
    """

    cache_size: int = 20_000
    conflict_tries: int = 15
    poll_interval: float = 0.02
    handler_tries: int = 3
    batch_size: int = 10_000
    max_event_bytes: int = 1_000_000
    max_events_per_commit: int = 10_000
    max_commit_bytes: int = 50_000_000
    idempotency_seconds: float = 7 * 24 * 3600.0
    unknown_events: Literal["refuse", "ignore"] | tuple[str, ...] = "refuse"
    api_permissions: tuple[str, ...] = ("rest_framework.permissions.IsAuthenticated",)

    def passes_over(self, name: str) -> bool:
        """Whether no code has to know the event type, or aggregate type, of that name."""
        given = self.unknown_events
        return given == "ignore" or (not isinstance(given, str) and name in given)


def is_passed_over(name: str) -> bool:
    """Whether the settings in force say that no code has to know that name."""
    return configuration().passes_over(name)


@lru_cache(maxsize=1)
def configuration() -> Configuration:
    """Return the settings in force.

    Raises:
        ImproperlyConfigured: a name is unknown or a value has the wrong type.
    """
    given: Any = getattr(settings, "RILL", {})
    try:
        found = msgspec.convert(given, Configuration)
    except msgspec.ValidationError as error:
        known = ", ".join(field.encode_name for field in msgspec.structs.fields(Configuration))
        raise ImproperlyConfigured(f"settings.RILL: {error}. It may have: {known}.") from error
    minimum: dict[str, float] = {
        "CACHE_SIZE": found.cache_size,
        "CONFLICT_TRIES": found.conflict_tries - 1,
    }
    minimum |= {"POLL_INTERVAL": found.poll_interval, "BATCH_SIZE": found.batch_size - 1}
    minimum |= {"HANDLER_TRIES": found.handler_tries - 1}
    minimum |= {"IDEMPOTENCY_SECONDS": found.idempotency_seconds - 1}
    minimum |= {"MAX_EVENT_BYTES": found.max_event_bytes - 1}
    minimum |= {"MAX_COMMIT_BYTES": found.max_commit_bytes - 1}
    minimum |= {"MAX_EVENTS_PER_COMMIT": found.max_events_per_commit - 1}
    for name, value in minimum.items():
        if value < 0:
            raise ImproperlyConfigured(f"settings.RILL[{name!r}] is too small: {given[name]!r}.")
    return found


def _reset(*, setting: str, **_: Any) -> None:
    if setting == "RILL":
        configuration.cache_clear()


setting_changed.connect(_reset, dispatch_uid="rill_django.conf")
