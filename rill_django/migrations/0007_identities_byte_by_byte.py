"""Texts that name something are compared byte by byte on every database, MySQL included."""

from django.apps.registry import Apps
from django.db import migrations
from django.db.backends.base.schema import BaseDatabaseSchemaEditor

from rill_django.store.texts import IdentityField

from ._operations import RunOnModel


def make_log_exact(apps: Apps, schema_editor: BaseDatabaseSchemaEditor) -> None:
    """On MySQL. There, earlier releases made ASCII columns, which overlook blanks at the end."""
    from rill_django.store.mysql_texts import make_exact

    make_exact(
        schema_editor, [apps.get_model("rill_django", name) for name in ("Event", "StoredType")]
    )


class Migration(migrations.Migration):
    dependencies = [
        ("rill_django", "0006_stored_types"),
    ]

    operations = [
        RunOnModel("event", make_log_exact, RunOnModel.noop, atomic=False),
        migrations.AlterField(
            model_name="answer",
            name="command",
            field=IdentityField(max_length=64, verbose_name="digest of the command"),
        ),
        migrations.AlterField(
            model_name="answer",
            name="key",
            field=IdentityField(
                max_length=255, primary_key=True, serialize=False, verbose_name="idempotency key"
            ),
        ),
        migrations.AlterField(
            model_name="checkpoint",
            name="failed_event",
            field=IdentityField(blank=True, max_length=300, verbose_name="event that failed"),
        ),
        migrations.AlterField(
            model_name="checkpoint",
            name="name",
            field=IdentityField(max_length=255, verbose_name="projection"),
        ),
        migrations.AlterField(
            model_name="parkedevent",
            name="event",
            field=IdentityField(max_length=300, verbose_name="event"),
        ),
        migrations.AlterField(
            model_name="parkedevent",
            name="projection",
            field=IdentityField(max_length=255, verbose_name="projection"),
        ),
        migrations.AlterField(
            model_name="skippedevent",
            name="event",
            field=IdentityField(max_length=300, verbose_name="event"),
        ),
        migrations.AlterField(
            model_name="skippedevent",
            name="projection",
            field=IdentityField(max_length=255, verbose_name="projection"),
        ),
    ]
