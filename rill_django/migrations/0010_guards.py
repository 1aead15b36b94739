"""Puts up what was not yet there when 0002 was applied, and puts back what has gone."""

from django.apps.registry import Apps
from django.db import migrations
from django.db.backends.base.schema import BaseDatabaseSchemaEditor

from ._operations import RunOnModel


def put_up(apps: Apps, schema_editor: BaseDatabaseSchemaEditor) -> None:
    from rill_django.store.orm import dialect_of

    dialect_of(schema_editor.connection).guards.put_up(schema_editor.connection)


class Migration(migrations.Migration):
    dependencies = [("rill_django", "0009_checkpoints_wait")]

    # On MySQL, which commits with every CREATE TRIGGER, that cannot be in a transaction.
    operations = [RunOnModel("event", put_up, RunOnModel.noop, atomic=False)]
