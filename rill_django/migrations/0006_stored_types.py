"""A table of the types of events that the log has, filled by one look at the whole log."""

from django.apps.registry import Apps
from django.db import migrations, models
from django.db.backends.base.schema import BaseDatabaseSchemaEditor
from django.db.models import F, Min, Value
from django.db.models.functions import Greatest, StrIndex, Substr

import rill_django.store.tables
import rill_django.store.texts

from ._operations import CreateTableOfTheLog, RunOnModel


def fill(apps: Apps, schema_editor: BaseDatabaseSchemaEditor) -> None:
    using = schema_editor.connection.alias
    events = apps.get_model("rill_django", "Event").objects.using(using)
    stored_types = apps.get_model("rill_django", "StoredType")
    length = Greatest(StrIndex(F("stream"), Value("/")) - 1, 0)
    kinds = (
        events.annotate(category=Substr("stream", 1, length))
        .order_by()
        .values("category", "type")
        .annotate(first=Min("id"))
    )
    found = []
    for kind in kinds:
        stream, version = events.values_list("stream", "version").get(pk=kind["first"])
        found.append(
            stored_types(
                category=kind["category"], type=kind["type"], stream=stream, version=version
            )
        )
    stored_types.objects.using(using).bulk_create(found)


class Migration(migrations.Migration):
    dependencies = [("rill_django", "0005_parts_of_held_events")]

    operations = [
        CreateTableOfTheLog(
            name="StoredType",
            fields=[
                ("id", models.BigAutoField(primary_key=True, serialize=False)),
                (
                    "category",
                    rill_django.store.texts.IdentityField(max_length=255, verbose_name="category"),
                ),
                (
                    "type",
                    rill_django.store.texts.IdentityField(max_length=255, verbose_name="type"),
                ),
                (
                    "stream",
                    rill_django.store.texts.IdentityField(max_length=255, verbose_name="stream"),
                ),
                ("version", models.PositiveIntegerField(verbose_name="version")),
            ],
            options={"verbose_name": "stored type", "verbose_name_plural": "stored types"},
        ),
        RunOnModel("event", fill, migrations.RunPython.noop),
    ]
