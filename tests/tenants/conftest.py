"""Schemas for two tenants beside the public one, and connections that are at one of them."""

from contextlib import contextmanager

import pytest
from django.apps import apps
from django.db import connections

APPS = ("rill_django", "bank", "flights", "registration")


class Tenants:
    """Two tenants, called a and b.

    Args:
        how: ``cursor``: a backend that sets the path with every cursor; ``session``: it is set once.
    """

    names = ("a", "b")

    def __init__(self, how):
        self.how = how

    @contextmanager
    def at(self, name):
        """Be at a tenant, or at ``public``, inside the ``with`` block."""
        connection = connections["default"]
        if self.how == "cursor":
            before, connection.schema_name = connection.schema_name, name
            try:
                yield
            finally:
                connection.schema_name = before
            return
        with connection.cursor() as cursor:
            cursor.execute("SHOW search_path")
            (before,) = cursor.fetchone()
            cursor.execute("SELECT set_config('search_path', %s, false)", (f"{name}, public",))
        try:
            yield
        finally:
            with connection.cursor() as cursor:
                cursor.execute("SELECT set_config('search_path', %s, false)", (before,))

    @staticmethod
    def schemas_beside():
        with connections["default"].cursor() as cursor:
            cursor.execute("SELECT nspname FROM pg_namespace WHERE nspname LIKE 'rill%%'", ())
            return [name for (name,) in cursor.fetchall()]


@pytest.fixture(params=["cursor", "session"])
def tenants(request, transactional_db, monkeypatch):
    before = connections["default"]
    if request.param == "cursor":
        monkeypatch.setitem(connections.settings["default"], "ENGINE", "tests.tenants.backend")
    connection = connections.create_connection("default")
    connections["default"] = connection
    found = Tenants(request.param)
    tables = {
        model._meta.db_table
        for label in APPS
        for model in apps.get_app_config(label).get_models(include_auto_created=True)
    }
    try:
        with connection.cursor() as cursor:
            for name in found.names:
                cursor.execute(f"CREATE SCHEMA {name}")
                for table in tables:
                    cursor.execute(f"CREATE TABLE {name}.{table} (LIKE {table} INCLUDING ALL)")
        yield found
    finally:
        with connection.cursor() as cursor:
            for name in (*found.names, *found.schemas_beside()):
                cursor.execute(f"DROP SCHEMA IF EXISTS {name} CASCADE")
        connection.close()
        connections["default"] = before
