"""Numbers that MySQL 8 would change: integers beyond 64 bits, which its JSON keeps as binary floats."""

from __future__ import annotations

import re
from collections.abc import Iterable
from typing import Any

import msgspec

from rill_django.domain.errors import InvalidMessage
from rill_django.store.dialect import Row

_MANY_DIGITS = re.compile(r"\d{19}")


def refuse_wide_integers(rows: Iterable[Row]) -> None:
    """Refuse events with integers that would come back as others.

    Raises:
        InvalidMessage: there is one, in the payload or the metadata.
    """
    for row in rows:
        for text in (row.data, row.metadata):
            if _MANY_DIGITS.search(text) and _has_wide_integer(msgspec.json.decode(text)):
                raise InvalidMessage(
                    row.type,
                    "",
                    "has an integer beyond 64 bits, which MySQL keeps as a float, and changes. "
                    "Use a Decimal, a bound, or another database: MariaDB and PostgreSQL keep it",
                )


def _has_wide_integer(value: Any) -> bool:
    if isinstance(value, int):
        return not -(2**63) <= value < 2**64
    parts = value.values() if isinstance(value, dict) else value
    return isinstance(value, (dict, list)) and any(map(_has_wide_integer, parts))
