"""A database backend for tenants, as projects write them: it sets the path with every cursor."""

from django.db.backends.postgresql.base import DatabaseWrapper as PostgreSQLWrapper


class DatabaseWrapper(PostgreSQLWrapper):
    schema_name = "public"

    def _cursor(self, name=None):
        cursor = super()._cursor(name)
        with self.connection.cursor() as own:
            # By a query, so that whatever has to come before any query comes too late.
            own.execute(
                "SELECT set_config('search_path', %s, false)", (f'"{self.schema_name}", public',)
            )
        return cursor
