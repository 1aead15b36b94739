"""Makes events searchable by time, on PostgreSQL."""

from django.apps.registry import Apps
from django.db import migrations
from django.db.backends.base.schema import BaseDatabaseSchemaEditor

from rill_django.migrations._operations import RunOnModel


def create(apps: Apps, schema_editor: BaseDatabaseSchemaEditor) -> None:
    from rill_django.store.orm import dialect_of

    for statement in dialect_of(schema_editor.connection).time_index:
        schema_editor.execute(statement, params=None)


def drop(apps: Apps, schema_editor: BaseDatabaseSchemaEditor) -> None:
    from rill_django.store.orm import dialect_of

    if dialect_of(schema_editor.connection).time_index:
        schema_editor.execute("DROP INDEX rill_django_event_recorded_at", params=None)


class Migration(migrations.Migration):
    dependencies = [("rill_django", "0003_held_events")]

    operations = [RunOnModel("event", create, drop)]
