"""Checkpoints say since when a worker waits for the database."""

from django.db import migrations, models


class Migration(migrations.Migration):
    dependencies = [("rill_django", "0008_checkpoints_know_their_log")]

    operations = [
        migrations.AddField(
            model_name="checkpoint",
            name="waiting_since",
            field=models.DateTimeField(null=True, verbose_name="waiting since"),
        ),
    ]
