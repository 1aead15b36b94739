"""Texts that name something: they are the same if and only if all their bytes are."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from django.db import models
from django.db.backends.base.base import BaseDatabaseWrapper

if TYPE_CHECKING:
    _CharField = models.CharField[str, str]
else:
    _CharField = models.CharField


class IdentityField(_CharField):
    """A CharField that is compared byte by byte on every database, also by its unique constraints.

    MySQL takes texts for the same that differ in case, accents or blanks at the end, unless told
    otherwise; its ``_bin`` collations still overlook the blanks. On PostgreSQL prefixes can be searched by
    index only in the collation ``C``. SQLite's default is byte by byte.
    """

    def db_parameters(self, connection: BaseDatabaseWrapper) -> dict[str, Any]:
        """Add the collation of each database."""
        parameters: dict[str, Any] = dict(super().db_parameters(connection))
        collation = exact_collation(connection)
        if collation is not None:
            parameters["collation"] = collation
        return parameters

    def db_type(self, connection: BaseDatabaseWrapper) -> str | None:
        """Name the character set that MySQL's collation belongs to: the table's may be another one."""
        kind = super().db_type(connection)
        return f"{kind} CHARACTER SET utf8mb4" if connection.vendor == "mysql" else kind


def exact_collation(connection: BaseDatabaseWrapper) -> str | None:
    """Return the name of the collation that compares all bytes; ``None``: the default one does."""
    if connection.vendor == "postgresql":
        return "C"
    if connection.vendor != "mysql":
        return None
    is_mariadb = getattr(connection, "mysql_is_mariadb", False)
    return "utf8mb4_nopad_bin" if is_mariadb else "utf8mb4_0900_bin"
