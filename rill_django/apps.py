"""The Django app."""

from __future__ import annotations

from datetime import timedelta

from django.apps import AppConfig
from django.db.models.signals import pre_migrate
from django.utils.module_loading import autodiscover_modules
from django.utils.translation import gettext_lazy as _

from rill_django import emptying
from rill_django.conf import are_tracebacks_full, configuration, is_passed_over
from rill_django.dispatch import Dispatcher
from rill_django.repository import CachingRepository, Limits, Repository
from rill_django.triggers import fire_triggers


class RillConfig(AppConfig):
    """Finds the domain, upcasters, projections and triggers of every app, as Django finds ``admin.py``."""

    name = "rill_django"
    verbose_name = _("Event sourcing")
    default_auto_field = "django.db.models.BigAutoField"

    def ready(self) -> None:
        """Make the project's database what ``Account.get`` and the like reach, and look for definitions."""
        from rill_django import (  # noqa: F401 - registers them
            checks,
            checks_of_apps,
            checks_of_keys,
            checks_of_settings,
            checks_of_sqlite,
            checks_of_tenants,
            checks_of_the_api,
            checks_of_the_log,
        )
        from rill_django.domain import left_out, runtime, tracebacks
        from rill_django.store import questions

        emptying.remember_names()
        pre_migrate.connect(
            emptying.before_migrations, sender=self, dispatch_uid="rill_django.emptying"
        )
        left_out.set_passed_over(is_passed_over)
        tracebacks.set_full(are_tracebacks_full)
        runtime.set_default(_project_dispatcher())
        questions.refuse_in_commands()
        autodiscover_modules("domain", "upcasters", "projections", "triggers")
        checks_of_apps.remember_definitions()


def _project_dispatcher() -> Dispatcher:
    """Return a dispatcher on the project's own database, with cache, triggers and inline projections."""
    # Their tables can be made only now.
    from rill_django.projections.inline.commits import InlineProjections
    from rill_django.store.orm import DjangoEventStore

    settings = configuration()
    lifetime = timedelta(seconds=settings.idempotency_seconds)
    store, listeners = DjangoEventStore(answers_lifetime=lifetime), (fire_triggers,)
    limits = Limits(
        settings.max_event_bytes, settings.max_events_per_commit, settings.max_commit_bytes
    )
    inline = InlineProjections(store)
    repository = (
        CachingRepository(store, listeners, limits=limits, inline=inline, size=settings.cache_size)
        if settings.cache_size
        else Repository(store, listeners, limits=limits, inline=inline)
    )
    return Dispatcher(repository, conflict_tries=settings.conflict_tries)
