"""What the JSON of MySQL and MariaDB cannot hold, and other databases can."""

from __future__ import annotations

import re
from collections.abc import Iterable
from typing import Any

import msgspec

from rill_django.domain.errors import InvalidMessage
from rill_django.domain.json_texts import MOST_LEVELS, levels_of
from rill_django.store.dialect import Row

MARIADB_LEVELS = MOST_LEVELS
"""Arrays and objects within each other that MariaDB 10.6 takes for JSON."""
MYSQL_LEVELS = 100
"""The same of MySQL 8."""

_MANY_DIGITS = re.compile(r"\d{19}")


def refuse_unfit(rows: Iterable[Row], *, is_mariadb: bool) -> None:
    """Refuse events that are nested too deeply, or, on MySQL, have integers that would come back as others.

    MySQL keeps integers beyond 64 bits as binary floats.

    Raises:
        InvalidMessage: there is one, in the payload or the metadata.
    """
    levels = MARIADB_LEVELS if is_mariadb else MYSQL_LEVELS
    for row in rows:
        for text in (row.data, row.metadata):
            may_be_deep = text.count("[") + text.count("{") > levels
            if may_be_deep and (deepest := levels_of(text.encode())) > levels:
                raise InvalidMessage(
                    row.type,
                    "",
                    f"is nested {deepest} levels deep, and this database's JSON has {levels} at most",
                )
            if is_mariadb or _MANY_DIGITS.search(text) is None:
                continue
            for field, value in msgspec.json.decode(text).items():
                if _has_wide_integer(value):
                    raise InvalidMessage(
                        row.type,
                        "",
                        "has an integer beyond 64 bits, which MySQL keeps as a float, and changes. "
                        "Use a Decimal, a bound, or another database: MariaDB and PostgreSQL keep it",
                        {field: value},
                    )


def _inside(value: Any) -> Iterable[Any]:
    if isinstance(value, dict):
        return value.values()
    return value if isinstance(value, list) else ()


def _has_wide_integer(value: Any) -> bool:
    if isinstance(value, int):
        return not -(2**63) <= value < 2**64
    return any(map(_has_wide_integer, _inside(value)))
