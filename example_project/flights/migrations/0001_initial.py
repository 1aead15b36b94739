from django.db import migrations, models


class Migration(migrations.Migration):
    initial = True

    dependencies = []

    operations = [
        migrations.CreateModel(
            name="CarrierPunctuality",
            fields=[
                ("carrier", models.CharField(max_length=2, primary_key=True, serialize=False)),
                ("flights", models.PositiveIntegerField(default=0)),
                ("departed", models.PositiveIntegerField(default=0)),
                ("arrived", models.PositiveIntegerField(default=0)),
                ("cancelled", models.PositiveIntegerField(default=0)),
                ("diverted", models.PositiveIntegerField(default=0)),
                ("departed_late", models.PositiveIntegerField(default=0)),
                ("arrived_late", models.PositiveIntegerField(default=0)),
                (
                    "departure_delays",
                    models.BigIntegerField(
                        default=0, verbose_name="sum of departure delays in minutes"
                    ),
                ),
                (
                    "arrival_delays",
                    models.BigIntegerField(
                        default=0, verbose_name="sum of arrival delays in minutes"
                    ),
                ),
            ],
            options={
                "verbose_name": "carrier's punctuality",
                "verbose_name_plural": "punctuality by carrier",
                "ordering": ("carrier",),
            },
        ),
        migrations.CreateModel(
            name="AirportDay",
            fields=[
                (
                    "id",
                    models.BigAutoField(
                        auto_created=True, primary_key=True, serialize=False, verbose_name="ID"
                    ),
                ),
                ("origin", models.CharField(max_length=3, verbose_name="airport")),
                ("date", models.DateField()),
                ("scheduled", models.PositiveIntegerField(default=0)),
                ("departed", models.PositiveIntegerField(default=0)),
                ("cancelled", models.PositiveIntegerField(default=0)),
                ("departed_late", models.PositiveIntegerField(default=0)),
                (
                    "departure_delays",
                    models.BigIntegerField(
                        default=0, verbose_name="sum of departure delays in minutes"
                    ),
                ),
            ],
            options={
                "ordering": ("date", "origin"),
                "constraints": [
                    models.UniqueConstraint(
                        fields=("origin", "date"), name="flights_airportday_day"
                    )
                ],
            },
        ),
        migrations.CreateModel(
            name="Departure",
            fields=[
                (
                    "id",
                    models.BigAutoField(
                        auto_created=True, primary_key=True, serialize=False, verbose_name="ID"
                    ),
                ),
                ("carrier", models.CharField(max_length=2)),
                ("number", models.PositiveIntegerField()),
                ("date", models.DateField()),
                ("origin", models.CharField(max_length=3)),
                ("destination", models.CharField(max_length=3)),
                (
                    "tail_number",
                    models.CharField(blank=True, max_length=10, verbose_name="aircraft"),
                ),
                (
                    "distance",
                    models.PositiveIntegerField(null=True, verbose_name="distance in miles"),
                ),
                ("scheduled_at", models.DateTimeField(verbose_name="scheduled departure")),
                (
                    "status",
                    models.CharField(
                        choices=[
                            ("scheduled", "scheduled"),
                            ("departed", "departed"),
                            ("arrived", "arrived"),
                            ("cancelled", "cancelled"),
                            ("diverted", "diverted"),
                        ],
                        max_length=12,
                    ),
                ),
                (
                    "departure_delay",
                    models.IntegerField(null=True, verbose_name="departure delay (min)"),
                ),
                (
                    "arrival_delay",
                    models.IntegerField(null=True, verbose_name="arrival delay (min)"),
                ),
                (
                    "air_time",
                    models.PositiveIntegerField(null=True, verbose_name="minutes in the air"),
                ),
            ],
            options={
                "ordering": ("scheduled_at", "origin", "carrier", "number"),
                "indexes": [
                    models.Index(
                        fields=["scheduled_at", "origin", "carrier", "number"],
                        name="flights_departure_order",
                    )
                ],
                "constraints": [
                    models.UniqueConstraint(
                        fields=("carrier", "number", "date", "origin"),
                        name="flights_departure_flight",
                    )
                ],
            },
        ),
        migrations.CreateModel(
            name="DepartureHour",
            fields=[
                (
                    "id",
                    models.BigAutoField(
                        auto_created=True, primary_key=True, serialize=False, verbose_name="ID"
                    ),
                ),
                ("origin", models.CharField(max_length=3, verbose_name="airport")),
                (
                    "hour",
                    models.PositiveSmallIntegerField(
                        verbose_name="hour of the scheduled departure"
                    ),
                ),
                ("departed", models.PositiveIntegerField(default=0)),
                ("departed_late", models.PositiveIntegerField(default=0)),
                (
                    "departure_delays",
                    models.BigIntegerField(
                        default=0, verbose_name="sum of departure delays in minutes"
                    ),
                ),
            ],
            options={
                "verbose_name": "hour of departure",
                "verbose_name_plural": "delays by hour",
                "ordering": ("hour", "origin"),
                "constraints": [
                    models.UniqueConstraint(
                        fields=("origin", "hour"), name="flights_departurehour_hour"
                    )
                ],
            },
        ),
    ]
