"""Privileges and sequences of PostgreSQL tables that are to be like those of others."""

from __future__ import annotations

from collections.abc import Iterator

from django.db.backends.utils import CursorWrapper

from rill_django.projections.rebuilding.postgresql_names import Table, quoted

# By name: of a table, of its columns, and of the sequences that belong to it.
_PRIVILEGES = """
WITH granted AS (
    SELECT c.relname, c.relkind, NULL::name AS attname, privilege.*
    FROM pg_class c, aclexplode(coalesce(c.relacl, acldefault(
        CASE c.relkind WHEN 'S' THEN 's' ELSE 'r' END::"char", c.relowner))) AS privilege
    WHERE c.oid = %(oid)s OR c.relkind = 'S' AND c.oid IN (
        SELECT objid FROM pg_depend WHERE classid = 'pg_class'::regclass
        AND refclassid = 'pg_class'::regclass AND refobjid = %(oid)s AND deptype IN ('a', 'i'))
    UNION ALL
    SELECT c.relname, c.relkind, a.attname, privilege.*
    FROM pg_class c JOIN pg_attribute a ON a.attrelid = c.oid, aclexplode(a.attacl) AS privilege
    WHERE c.oid = %(oid)s AND NOT a.attisdropped
)
SELECT CASE relkind WHEN 'S' THEN 'SEQUENCE' ELSE 'TABLE' END, relname, attname, privilege_type,
       CASE grantee WHEN 0 THEN 'PUBLIC' ELSE quote_ident(pg_get_userbyid(grantee)) END, is_grantable
FROM granted
"""

_SEQUENCES = """
SELECT a.attname, s.relname, format('%%I.%%I', n.nspname, s.relname), d.deptype = 'i'
FROM pg_depend d JOIN pg_class s ON s.oid = d.objid AND s.relkind = 'S'
JOIN pg_namespace n ON n.oid = s.relnamespace
JOIN pg_attribute a ON a.attrelid = d.refobjid AND a.attnum = d.refobjsubid
WHERE d.classid = 'pg_class'::regclass AND d.refclassid = 'pg_class'::regclass
  AND d.deptype IN ('a', 'i') AND d.refobjid = %s
ORDER BY d.deptype, s.relname
"""


def privileges(cursor: CursorWrapper, table: Table) -> set[tuple[str, ...]]:
    """Return who may do what with a table, its columns and its sequences."""
    cursor.execute(_PRIVILEGES, {"oid": table.oid})
    return set(cursor.fetchall())


def equalise_privileges(cursor: CursorWrapper, live: Table, beside: Table) -> None:
    """Allow to everybody what is allowed with the live table, and nothing else."""
    wanted, found = privileges(cursor, live), privileges(cursor, beside)
    for change in (
        *_changes(found - wanted, beside.schema, "REVOKE", "FROM"),
        *_changes(wanted - found, beside.schema, "GRANT", "TO"),
    ):
        cursor.execute(change)


def _changes(found: set[tuple[str, ...]], schema: str, verb: str, to: str) -> Iterator[str]:
    for kind, name, column, privilege, role, is_grantable in sorted(found, key=repr):
        what = f"{privilege} ({quoted(column)})" if column else privilege
        option = " WITH GRANT OPTION" if is_grantable and verb == "GRANT" else ""
        yield f"{verb} {what} ON {kind} {quoted(schema)}.{quoted(name)} {to} {role}{option}"


def name_sequences_alike(cursor: CursorWrapper, live: Table, beside: Table) -> None:
    """Give the sequences of identity columns the names that those of the live table have."""
    cursor.execute(_SEQUENCES, (live.oid,))
    names = {column: name for column, name, _, is_identity in cursor.fetchall() if is_identity}
    cursor.execute(_SEQUENCES, (beside.oid,))
    for column, name, place, _ in cursor.fetchall():
        if names.get(column, name) != name:
            cursor.execute(f"ALTER SEQUENCE {place} RENAME TO {quoted(names[column])}")


def continue_sequences(cursor: CursorWrapper, live: Table, beside: Table) -> None:
    """See to it that no value is given out that is in the new rows, or ever was in the old ones."""
    cursor.execute(_SEQUENCES, (live.oid,))
    before = {column: place for column, _, place, _ in cursor.fetchall()}
    cursor.execute(_SEQUENCES, (beside.oid,))
    for column, _, place, _ in cursor.fetchall():
        if column not in before:
            continue
        # `is_called` is false for a sequence that has given no value yet.
        cursor.execute(
            f"SELECT setval('{place}', reached.value) FROM (SELECT greatest("
            f"(SELECT last_value FROM {place} WHERE is_called), "
            f"(SELECT last_value FROM {before[column]} WHERE is_called), "
            f"(SELECT max({quoted(column)}) FROM {beside.quoted})) AS value) reached "
            "WHERE reached.value IS NOT NULL"
        )
