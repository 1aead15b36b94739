"""A check for `django-health-check <https://pypi.org/project/django-health-check/>`_, 4 or newer.

::

    path("health/", HealthCheckView.as_view(checks=[
        "health_check.checks.Database",
        ("rill_django.contrib.health_check.Projections", {"max_lag_seconds": 60}),
    ]))
"""

from __future__ import annotations

import dataclasses

from django.db import connections
from health_check.base import HealthCheck
from health_check.exceptions import ServiceUnavailable

from rill_django.projections import health
from rill_django.store.migrated import NotMigrated


@dataclasses.dataclass
class Projections(HealthCheck):
    """Whether projections run and keep up.

    Args:
        names: of the projections; default: all.
        max_lag: most events that may be in the log and not applied yet.
        max_lag_seconds: how old the oldest of them may be.
    """

    names: tuple[str, ...] = dataclasses.field(default=(), repr=False)
    max_lag: int | None = None
    max_lag_seconds: float | None = None

    def run(self) -> None:
        """Raise ``ServiceUnavailable`` with all that is wrong."""
        try:
            problems = health.check(
                self.names, max_lag=self.max_lag, max_lag_seconds=self.max_lag_seconds
            )
        except NotMigrated as error:
            raise ServiceUnavailable(str(error)) from None
        finally:
            # It is run in a thread of a pool, where no request's end would ever do this.
            connections.close_all()
        if problems:
            raise ServiceUnavailable("; ".join(map(str, problems)))
