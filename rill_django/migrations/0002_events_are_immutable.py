"""Has the database itself refuse to change or delete events, in the way of today: see 0010."""

from django.apps.registry import Apps
from django.db import migrations
from django.db.backends.base.schema import BaseDatabaseSchemaEditor

from rill_django.migrations._operations import RunOnModel


def protect(apps: Apps, schema_editor: BaseDatabaseSchemaEditor) -> None:
    from rill_django.store.orm import dialect_of

    for statement in dialect_of(schema_editor.connection).guards.creation:
        schema_editor.execute(statement, params=None)


def unprotect(apps: Apps, schema_editor: BaseDatabaseSchemaEditor) -> None:
    from rill_django.store.orm import dialect_of

    for statement in dialect_of(schema_editor.connection).guards.removal:
        schema_editor.execute(statement, params=None)


class Migration(migrations.Migration):
    dependencies = [("rill_django", "0001_initial")]

    # On MySQL, which commits with every CREATE TRIGGER, that cannot be in a transaction.
    operations = [RunOnModel("event", protect, unprotect, atomic=False)]
