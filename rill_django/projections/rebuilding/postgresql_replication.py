"""Who is told of every change of tables on PostgreSQL, such as replicas and change data capture.

They would be told of the rows beside, too, of which they know nothing, and not of a table that takes the
place of another. What is in an unlogged table, nobody is told.
"""

from __future__ import annotations

from collections.abc import Sequence

from django.db.backends.utils import CursorWrapper

from rill_django.projections.rebuilding.postgresql_names import Table

_PUBLISHED_IN_SCHEMA = """
  OR EXISTS (SELECT FROM pg_publication_namespace n WHERE n.pnnspid = c.relnamespace)
"""

# A slot with another plugin than PostgreSQL's own decodes all tables, without any publication.
_IS_REPLICATED = """
SELECT EXISTS (
    SELECT FROM pg_class c
    WHERE c.oid = ANY (%(oids)s) AND c.relpersistence = 'p' AND (
        EXISTS (SELECT FROM pg_publication p WHERE p.puballtables)
        OR EXISTS (SELECT FROM pg_publication_rel r WHERE r.prrelid = c.oid)
        {in_schema}
        OR EXISTS (
            SELECT FROM pg_replication_slots s WHERE s.slot_type = 'logical'
            AND s.database = current_database() AND s.plugin <> 'pgoutput')))
"""

_IS_LOGGED = """
SELECT EXISTS (
    SELECT FROM pg_class c JOIN pg_namespace n ON n.oid = c.relnamespace
    WHERE n.nspname = %s AND c.relkind = 'r' AND c.relpersistence = 'p')
"""

FIRST_VERSION_WITH_SCHEMAS = 150_000
"""Since PostgreSQL 15 a publication may name schemas."""


def is_replicated(cursor: CursorWrapper, tables: Sequence[Table]) -> bool:
    """Whether anybody is told of changes of one of these tables."""
    knows_schemas = cursor.db.pg_version >= FIRST_VERSION_WITH_SCHEMAS
    in_schema = _PUBLISHED_IN_SCHEMA if knows_schemas else ""
    cursor.execute(
        _IS_REPLICATED.format(in_schema=in_schema), {"oids": [one.oid for one in tables]}
    )
    found: bool = cursor.fetchone()[0]
    return found


def has_logged_tables(cursor: CursorWrapper, schema: str) -> bool:
    """Whether somebody might be told of rows in one of the schema's tables."""
    cursor.execute(_IS_LOGGED, (schema,))
    found: bool = cursor.fetchone()[0]
    return found
