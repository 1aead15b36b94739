"""Who and why: facts about the circumstances of events, carried by the context."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from contextvars import ContextVar
from types import MappingProxyType
from typing import Any

_NOTHING: Mapping[str, Any] = MappingProxyType({})
_current: ContextVar[Mapping[str, Any]] = ContextVar("rill_metadata", default=_NOTHING)


@contextmanager
def metadata(
    *,
    actor: str | Callable[[], str | None] | None = None,
    reason: str | None = None,
    correlation_id: str | None = None,
    causation_id: str | None = None,
    **more: Any,
) -> Iterator[Mapping[str, Any]]:
    """Give these metadata to all events that are committed inside the ``with`` block.

    Blocks nest: an inner one adds to the outer one and overrides it.

    Args:
        actor: who did it, e.g. a user name; or a function that finds out when an event is stored.
        reason: why, in words.
        correlation_id: id of the whole conversation, e.g. of the web request.
        causation_id: what directly caused it, e.g. the ``stream@version`` of an event.
        more: anything else that JSON can hold.
    """
    named = {
        "actor": actor,
        "reason": reason,
        "correlation_id": correlation_id,
        "causation_id": causation_id,
    }
    given = {name: value for name, value in {**named, **more}.items() if value is not None}
    token = _current.set({**_current.get(), **given})
    try:
        yield _current.get()
    finally:
        _current.reset(token)


def current_metadata() -> Mapping[str, Any]:
    """Return the metadata that the context carries."""
    carried = _current.get()
    actor = carried.get("actor")
    return {**carried, "actor": actor()} if callable(actor) else carried
