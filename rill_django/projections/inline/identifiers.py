"""Names of tables and constraints in the form in which the database's errors have them."""

from __future__ import annotations

from django.db import models
from django.db.backends.base.base import BaseDatabaseWrapper


def table_name(model: type[models.Model], connection: BaseDatabaseWrapper) -> str:
    """Return the name of a model's table, without quotes, and without the schema it may be given with."""
    quoted = connection.ops.quote_name(model._meta.db_table)
    quote = quoted[0]
    return as_kept(quoted[1:-1].rpartition(f"{quote}.{quote}")[2], connection)


def as_kept(name: str, connection: BaseDatabaseWrapper) -> str:
    """Return a name as the database keeps it: PostgreSQL cuts long ones, the others refuse them."""
    if connection.vendor != "postgresql":
        return name
    return name.encode()[: connection.ops.max_name_length()].decode(errors="ignore")
