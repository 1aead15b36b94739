"""Why PostgreSQL tables cannot be replaced by others that are made like them."""

from __future__ import annotations

from collections.abc import Sequence

from django.db.backends.utils import CursorWrapper

from rill_django.projections.rebuilding.postgresql_names import Table

# Of the dependencies, only those are left that do not belong to the tables themselves. Publications of some
# rows or columns depend on the table, which stays where there are any: what differs is copied.
_OBSTACLES = """
SELECT format('%%s is not an ordinary table.', c.oid::regclass)
FROM pg_class c WHERE c.oid = ANY (%(oids)s) AND (c.relkind <> 'r' OR c.relispartition)
UNION ALL
SELECT format('%%s inherits, or is inherited from.', c.oid::regclass)
FROM pg_class c WHERE c.oid = ANY (%(oids)s)
  AND EXISTS (SELECT FROM pg_inherits i WHERE c.oid IN (i.inhparent, i.inhrelid))
UNION ALL
SELECT format('%%s has rules.', c.oid::regclass)
FROM pg_class c WHERE c.oid = ANY (%(oids)s) AND c.relkind = 'r'
  AND EXISTS (SELECT FROM pg_rewrite r WHERE r.ev_class = c.oid)
UNION ALL
SELECT format('%%s has extended statistics.', c.oid::regclass)
FROM pg_class c WHERE c.oid = ANY (%(oids)s)
  AND EXISTS (SELECT FROM pg_statistic_ext s WHERE s.stxrelid = c.oid)
UNION ALL
SELECT format('%%s is owned by %%I, which %%I does not belong to.', c.oid::regclass,
              pg_get_userbyid(c.relowner), current_user)
FROM pg_class c WHERE c.oid = ANY (%(oids)s) AND NOT pg_has_role(c.relowner, 'USAGE')
UNION ALL
SELECT DISTINCT format('%%I may not create anything in the schema %%I.', current_user, n.nspname)
FROM pg_class c JOIN pg_namespace n ON n.oid = c.relnamespace
WHERE c.oid = ANY (%(oids)s) AND NOT has_schema_privilege(n.oid, 'CREATE')
UNION ALL
SELECT format('%%I may not create a schema: GRANT CREATE ON DATABASE %%I TO %%I.', current_user,
              current_database(), current_user)
WHERE NOT has_database_privilege(current_database(), 'CREATE')
UNION ALL
SELECT DISTINCT format('%%s depends on it.', pg_describe_object(d.classid, d.objid, 0))
FROM pg_depend d
WHERE d.deptype = 'n'
  AND d.classid <> 'pg_publication_rel'::regclass
  AND (d.refclassid = 'pg_class'::regclass AND d.refobjid = ANY (%(oids)s)
       OR d.refclassid = 'pg_type'::regclass AND d.refobjid IN (
            SELECT unnest(ARRAY[t.oid, t.typarray]) FROM pg_type t WHERE t.typrelid = ANY (%(oids)s)))
  AND NOT EXISTS (SELECT FROM pg_constraint x WHERE d.classid = 'pg_constraint'::regclass
                  AND x.oid = d.objid AND x.conrelid = ANY (%(oids)s))
  AND NOT EXISTS (SELECT FROM pg_trigger x WHERE d.classid = 'pg_trigger'::regclass
                  AND x.oid = d.objid AND x.tgrelid = ANY (%(oids)s))
  AND NOT EXISTS (SELECT FROM pg_policy x WHERE d.classid = 'pg_policy'::regclass
                  AND x.oid = d.objid AND x.polrelid = ANY (%(oids)s))
  AND NOT EXISTS (SELECT FROM pg_attrdef x WHERE d.classid = 'pg_attrdef'::regclass
                  AND x.oid = d.objid AND x.adrelid = ANY (%(oids)s))
  AND NOT EXISTS (SELECT FROM pg_index x WHERE d.classid = 'pg_class'::regclass
                  AND x.indexrelid = d.objid AND x.indrelid = ANY (%(oids)s))
"""


def obstacles(cursor: CursorWrapper, tables: Sequence[Table]) -> list[str]:
    """Return what would be lost, or would keep the old tables from being dropped."""
    oids = [table.oid for table in tables]
    cursor.execute(_OBSTACLES, {"oids": oids})
    return [row[0] for row in cursor.fetchall()]
