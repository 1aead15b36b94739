"""System checks of the setting ``RILL``: what is wrong there closes doors, and opens none."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from importlib.util import find_spec
from typing import Any

from django.apps import AppConfig
from django.conf import settings
from django.core.checks import CheckMessage, Error, Tags, Warning, register
from django.core.exceptions import ImproperlyConfigured

from rill_django.conf import mistakes_in


@register(Tags.security)
def check_settings(app_configs: Sequence[AppConfig] | None, **_: Any) -> list[CheckMessage]:
    """``rill.E014``: a name, type or value that is wrong. ``rill.E015``: permissions that are none."""
    given = getattr(settings, "RILL", {})
    mistakes = mistakes_in(given)
    if mistakes:
        hint = "docs/reference.md lists the settings."
        return [Error(mistake, hint=hint, id="rill.E014") for mistake in mistakes]
    if "API_PERMISSIONS" not in given and find_spec("rest_framework") is None:
        return []
    try:
        from rill_django.api.permissions import permission_classes

        permission_classes()
    except (ImproperlyConfigured, ImportError) as error:
        hint = "Until this is mended, the API answers nobody."
        return [Error(str(error), hint=hint, id="rill.E015")]
    return []


@register(Tags.security, deploy=True)
def check_flush(app_configs: Sequence[AppConfig] | None, **_: Any) -> list[CheckMessage]:
    """``rill.W009``, of ``check --deploy``: the settings let anybody with a shell empty the log."""
    given = getattr(settings, "RILL", {})
    if not isinstance(given, Mapping) or given.get("ALLOW_FLUSH") is not True:
        return []
    return [
        Warning(
            'RILL["ALLOW_FLUSH"] is True: flush, and migrations that are taken back, empty a log that has '
            "events, and ask nobody.",
            hint="Set it for the one run that is to empty the log, and take it out again.",
            id="rill.W009",
        )
    ]
