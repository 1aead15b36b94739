"""What PostgreSQL's catalogs say of tables, as statements that make the same ones in another schema."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Any

from django.db.backends.utils import CursorWrapper

from rill_django.projections.rebuilding.postgresql_names import Table, quoted, search_path


def definitions(
    cursor: CursorWrapper,
    tables: Sequence[Table],
    schema: str,
    *,
    unlogged: bool = False,
    triggers: bool = True,
) -> list[str]:
    """Return statements that make tables with the same names in another schema, all else equal.

    Privileges are not among them: see `postgresql_privileges`.

    Args:
        unlogged: nobody is to be told of their rows.
        triggers: with those of the live tables.
    """
    beside = {table.oid: f"{quoted(schema)}.{quoted(table.name)}" for table in tables}
    with search_path(cursor, "pg_catalog"):  # So that all names come with their schema.
        statements = []
        for table in tables:
            made = _Definition(cursor, table, schema, beside)
            statements += [*made.table(unlogged), *made.sequences(), *made.constraints()]
            statements += [*made.indexes(), *made.columns(), *made.policies(), *made.comments()]
            statements += made.triggers() if triggers else []
        for table in tables:
            statements += _Definition(cursor, table, schema, beside).foreign_keys()
            # Last: who has given a table away may not be allowed to change it any more.
            statements += _Definition(cursor, table, schema, beside).owner()
    return statements


class _Definition:
    """Statements for one table."""

    def __init__(
        self, cursor: CursorWrapper, table: Table, schema: str, beside: dict[int, str]
    ) -> None:
        self._cursor = cursor
        self._live = table
        self._schema = schema
        self._all_beside = beside
        self._beside = beside[table.oid]

    def _rows(self, query: str, *parameters: Any) -> list[tuple[Any, ...]]:
        self._cursor.execute(query, (*parameters, self._live.oid))
        return list(self._cursor.fetchall())

    def _moved(self, definition: str, before: str, after: str) -> str:
        """Return a definition with the live table's name replaced where it stands."""
        old = f"{before}{self._live.quoted}{after}"
        if old not in definition:
            raise AssertionError(f"{old!r} is not in {definition!r}")
        return definition.replace(old, f"{before}{self._beside}{after}", 1)

    def table(self, is_unlogged: bool) -> Iterator[str]:
        ((persistence, options, toast_options, tablespace, secured, forced, identity),) = (
            self._rows(
                "SELECT c.relpersistence::text, c.reloptions, t.reloptions, s.spcname, "
                "c.relrowsecurity, c.relforcerowsecurity, c.relreplident::text "
                "FROM pg_class c LEFT JOIN pg_class t ON t.oid = c.reltoastrelid "
                "LEFT JOIN pg_tablespace s ON s.oid = c.reltablespace WHERE c.oid = %s"
            )
        )
        settings = [*(options or ()), *(f"toast.{one}" for one in toast_options or ())]
        yield (
            f"CREATE {'UNLOGGED ' if is_unlogged or persistence == 'u' else ''}TABLE {self._beside} "
            f"(LIKE {self._live.quoted} INCLUDING ALL EXCLUDING INDEXES EXCLUDING STATISTICS)"
            + (f" WITH ({', '.join(settings)})" if settings else "")
            + (f" TABLESPACE {quoted(tablespace)}" if tablespace else "")
        )
        if secured:
            yield f"ALTER TABLE {self._beside} ENABLE ROW LEVEL SECURITY"
        if forced:
            yield f"ALTER TABLE {self._beside} FORCE ROW LEVEL SECURITY"
        if identity in "fn":
            yield (
                f"ALTER TABLE {self._beside} REPLICA IDENTITY "
                f"{'FULL' if identity == 'f' else 'NOTHING'}"
            )

    def sequences(self) -> Iterator[str]:
        """Those of serial columns: the new ones are made with the table's column, by LIKE."""
        for name, place, column, default, kind, start, step, low, high, cache, cycle in self._rows(
            "SELECT s.relname, format('%%I.%%I', n.nspname, s.relname), a.attname, "
            "pg_get_expr(e.adbin, e.adrelid), format_type(q.seqtypid, NULL), q.seqstart, "
            "q.seqincrement, q.seqmin, q.seqmax, q.seqcache, q.seqcycle "
            "FROM pg_depend d JOIN pg_class s ON s.oid = d.objid AND s.relkind = 'S' "
            "JOIN pg_namespace n ON n.oid = s.relnamespace JOIN pg_sequence q ON q.seqrelid = s.oid "
            "JOIN pg_attribute a ON a.attrelid = d.refobjid AND a.attnum = d.refobjsubid "
            "LEFT JOIN pg_attrdef e ON e.adrelid = a.attrelid AND e.adnum = a.attnum "
            "WHERE d.classid = 'pg_class'::regclass AND d.refclassid = 'pg_class'::regclass "
            "AND d.deptype = 'a' AND d.refobjid = %s ORDER BY s.relname"
        ):
            beside = f"{quoted(self._schema)}.{quoted(name)}"
            yield (
                f"CREATE SEQUENCE {beside} AS {kind} START {start} INCREMENT {step} "
                f"MINVALUE {low} MAXVALUE {high} CACHE {cache}{' CYCLE' if cycle else ''} "
                f"OWNED BY {self._beside}.{quoted(column)}"
            )
            if default and f"'{place}'" in default:
                yield (
                    f"ALTER TABLE {self._beside} ALTER COLUMN {quoted(column)} SET DEFAULT "
                    + default.replace(f"'{place}'", f"'{beside}'")
                )

    def constraints(self) -> Iterator[str]:
        """All but foreign keys, and those that LIKE copies."""
        for name, definition in self._rows(
            "SELECT conname, pg_get_constraintdef(oid) FROM pg_constraint "
            "WHERE contype IN ('p', 'u', 'x') AND conrelid = %s ORDER BY contype <> 'p', conname"
        ):
            yield f"ALTER TABLE {self._beside} ADD CONSTRAINT {quoted(name)} {definition}"

    def indexes(self) -> Iterator[str]:
        """Those that no constraint has made; and what indexes are used for besides."""
        for definition, name, is_own, clustered, identity in self._rows(
            "SELECT pg_get_indexdef(i.indexrelid), c.relname, NOT EXISTS (SELECT FROM pg_constraint x "
            "WHERE x.conindid = i.indexrelid AND x.contype IN ('p', 'u', 'x')), "
            "i.indisclustered, i.indisreplident "
            "FROM pg_index i JOIN pg_class c ON c.oid = i.indexrelid "
            "WHERE i.indisvalid AND i.indrelid = %s ORDER BY c.relname"
        ):
            if is_own:
                yield self._moved(definition, " ON ", " USING ")
            if clustered:
                yield f"ALTER TABLE {self._beside} CLUSTER ON {quoted(name)}"
            if identity:
                yield f"ALTER TABLE {self._beside} REPLICA IDENTITY USING INDEX {quoted(name)}"

    def columns(self) -> Iterator[str]:
        for name, target, options in self._rows(
            "SELECT attname, coalesce(attstattarget, -1), attoptions FROM pg_attribute "
            "WHERE attnum > 0 AND NOT attisdropped AND attrelid = %s ORDER BY attnum"
        ):
            change = f"ALTER TABLE {self._beside} ALTER COLUMN {quoted(name)}"
            if target >= 0:
                yield f"{change} SET STATISTICS {target}"
            if options:
                yield f"{change} SET ({', '.join(options)})"

    def policies(self) -> Iterator[str]:
        for name, permissive, command, roles, condition, check in self._rows(
            "SELECT polname, polpermissive, polcmd::text, ARRAY(SELECT CASE role WHEN 0 THEN 'PUBLIC' "
            "ELSE quote_ident(pg_get_userbyid(role)) END FROM unnest(polroles) role), "
            "pg_get_expr(polqual, polrelid), pg_get_expr(polwithcheck, polrelid) "
            "FROM pg_policy WHERE polrelid = %s ORDER BY polname"
        ):
            yield (
                f"CREATE POLICY {quoted(name)} ON {self._beside} "
                f"AS {'PERMISSIVE' if permissive else 'RESTRICTIVE'} FOR {_COMMANDS[command]} "
                f"TO {', '.join(roles)}"
                + (f" USING ({condition})" if condition else "")
                + (f" WITH CHECK ({check})" if check else "")
            )

    def comments(self) -> Iterator[str]:
        """Those of the table, its indexes and constraints; LIKE copies those of columns and checks."""
        for what, comment in self._rows(
            f"""
            SELECT 'TABLE ' || %s::text, obj_description(oid, 'pg_class') FROM pg_class
            WHERE oid = %s AND obj_description(oid, 'pg_class') IS NOT NULL
            UNION ALL
            SELECT format('INDEX %%I.%%I', %s::text, c.relname), obj_description(c.oid, 'pg_class')
            FROM pg_index i JOIN pg_class c ON c.oid = i.indexrelid
            WHERE i.indrelid = {self._live.oid} AND obj_description(c.oid, 'pg_class') IS NOT NULL
            UNION ALL
            SELECT format('CONSTRAINT %%I ON ', conname) || %s::text, obj_description(oid, 'pg_constraint')
            FROM pg_constraint
            WHERE contype IN ('p', 'u', 'x') AND obj_description(oid, 'pg_constraint') IS NOT NULL
              AND conrelid = %s ORDER BY 1
            """,
            self._beside,
            self._live.oid,
            self._schema,
            self._beside,
        ):
            literal = "'" + comment.replace("'", "''") + "'"
            if "\\" in comment:
                literal = " E" + literal.replace("\\", "\\\\")
            yield f"COMMENT ON {what} IS {literal}"

    def triggers(self) -> Iterator[str]:
        for name, definition, enabled in self._rows(
            "SELECT tgname, pg_get_triggerdef(oid), tgenabled::text FROM pg_trigger "
            "WHERE NOT tgisinternal AND tgrelid = %s ORDER BY tgname"
        ):
            yield self._moved(definition, " ON ", " ")
            if enabled != "O":
                yield f"ALTER TABLE {self._beside} {_ENABLED[enabled]} TRIGGER {quoted(name)}"

    def foreign_keys(self) -> Iterator[str]:
        for name, definition, target, target_name in self._rows(
            "SELECT x.conname, pg_get_constraintdef(x.oid), x.confrelid, "
            "format('%%I.%%I', n.nspname, c.relname) FROM pg_constraint x "
            "JOIN pg_class c ON c.oid = x.confrelid JOIN pg_namespace n ON n.oid = c.relnamespace "
            "WHERE x.contype = 'f' AND x.conrelid = %s ORDER BY x.conname"
        ):
            if target in self._all_beside:
                definition = definition.replace(
                    f" REFERENCES {target_name}(", f" REFERENCES {self._all_beside[target]}(", 1
                )
            yield f"ALTER TABLE {self._beside} ADD CONSTRAINT {quoted(name)} {definition}"

    def owner(self) -> Iterator[str]:
        for name in self._rows(
            "SELECT pg_get_userbyid(relowner) FROM pg_class "
            "WHERE pg_get_userbyid(relowner) <> current_user AND oid = %s"
        ):
            # An owner has to be allowed to have tables there.
            yield f"GRANT USAGE, CREATE ON SCHEMA {quoted(self._schema)} TO {quoted(name[0])}"
            yield f"ALTER TABLE {self._beside} OWNER TO {quoted(name[0])}"


_COMMANDS = {"r": "SELECT", "a": "INSERT", "w": "UPDATE", "d": "DELETE", "*": "ALL"}
_ENABLED = {"D": "DISABLE", "R": "ENABLE REPLICA", "A": "ENABLE ALWAYS"}
