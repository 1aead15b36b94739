"""PyPI's eventsourcing-django: the same application, stored through Django's ORM."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import django
from django.conf import settings

from benchmarks.contestants.eventsourcing import EventSourcing


class EventSourcingDjango(EventSourcing):
    """See `Contestant`."""

    def _environment_of(self, database: Mapping[str, Any]) -> dict[str, str]:
        settings.configure(
            DATABASES={"default": dict(database)},
            INSTALLED_APPS=["eventsourcing_django"],
            USE_TZ=True,
            LOGGING_CONFIG=None,
        )
        django.setup()
        return {"PERSISTENCE_MODULE": "eventsourcing_django"}

    def install(self) -> None:
        """See `Contestant`."""
        from django.core.management import call_command

        call_command("migrate", verbosity=0)
        self.close()

    def close(self) -> None:
        """See `Contestant`."""
        from django.db import connections

        super().close()
        connections.close_all()
