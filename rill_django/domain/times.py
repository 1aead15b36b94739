"""When events happened: always a moment, which a time without a zone is not."""

from __future__ import annotations

from datetime import datetime, timezone
from typing import Any

import msgspec

from .errors import InvalidMessage

_metadata = msgspec.json.Decoder(dict[str, msgspec.Raw])


def refuse_naive(given: Any, name: str = "occurred_at") -> None:
    """Refuse what is no moment. Nothing given is fine.

    Raises:
        InvalidMessage: it is no datetime, nor the text of one, or it has no time zone.
    """
    if given is None:
        return
    try:
        time = msgspec.convert(given, datetime)
    except msgspec.ValidationError:
        wrong = "is no time: give a datetime with a time zone"
    else:
        if time.utcoffset() is not None:
            return
        wrong = "has no time zone, so nobody knows when that was: give one, e.g. timezone.utc"
    raise InvalidMessage("metadata", name, f"{given!r} {wrong}")


def refuse_naive_in(metadata: bytes) -> None:
    """Refuse encoded metadata that say when an event happened, and not in which zone.

    Raises:
        InvalidMessage: see `refuse_naive`.
    """
    if b'"occurred_at"' not in metadata:  # Nearly always.
        return
    try:
        given = _metadata.decode(metadata).get("occurred_at")
    except msgspec.MsgspecError:
        return  # No object; that is found elsewhere.
    if given is not None:
        refuse_naive(msgspec.json.decode(given))


def moment_of(given: Any) -> datetime:
    """Return when an event happened, by its metadata. Old ones without a zone are taken as UTC.

    Raises:
        msgspec.ValidationError: it is no time.
    """
    time: datetime = msgspec.convert(given, datetime)
    return time.replace(tzinfo=timezone.utc) if time.tzinfo is None else time
