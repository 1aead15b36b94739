"""System checks of a project with a schema for each tenant."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import Any

from django.apps import AppConfig, apps
from django.conf import settings
from django.core.checks import CheckMessage, Error, Tags, register

from rill_django.projections.registry import current_projections


@register(Tags.models)
def check_tenant_apps(app_configs: Sequence[AppConfig] | None, **_: Any) -> list[CheckMessage]:
    """``rill.E016``: with django-tenants, a projection's rows lie elsewhere than the log that they follow."""
    if not apps.is_installed("django_tenants"):
        return []
    public, *others = (_names(listed) for listed in _listed_apps().values())
    messages: list[CheckMessage] = []
    for projection in current_projections().named():
        for label in sorted({model._meta.app_label for model in projection.models}):
            name = apps.get_app_config(label).name
            for tenants in others:
                if name in tenants and "rill_django" not in tenants:
                    what, hint = (
                        "all tenants would share one log and one checkpoint",
                        "Put rill_django into TENANT_APPS, too.",
                    )
                elif name not in tenants and name in public and "rill_django" in tenants:
                    what, hint = (
                        "all tenants would write to the same rows, each what follows from its own log",
                        f"Put {name!r} into TENANT_APPS, too.",
                    )
                else:
                    continue
                messages.append(
                    Error(
                        f"Rows of the projection {projection.name} and the log that they follow are not in "
                        f"the same schema: {what}.",
                        hint=hint,
                        obj=type(projection),
                        id="rill.E016",
                    )
                )
    return messages


def _listed_apps() -> Mapping[str, Iterable[str]]:
    """Return the apps of the public schema, and then those of each type of tenants."""
    types: Mapping[str, Any] = getattr(settings, "TENANT_TYPES", {})
    if not types:
        return {
            "public": getattr(settings, "SHARED_APPS", ()),
            "tenants": getattr(settings, "TENANT_APPS", ()),
        }
    name = getattr(settings, "PUBLIC_SCHEMA_NAME", "public")
    listed = {type: types[type]["APPS"] for type in sorted(types, key=lambda one: one != name)}
    return listed if name in listed else {name: (), **listed}


def _names(listed: Iterable[str]) -> set[str]:
    """Return the apps' full names: settings may name the configuration."""
    return {AppConfig.create(one).name for one in listed}
