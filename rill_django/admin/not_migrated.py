"""Admin pages of a log that is not migrated: they say so."""

from __future__ import annotations

from collections.abc import Callable
from functools import wraps
from http import HTTPStatus
from typing import Any

from django.contrib.admin import AdminSite
from django.http import HttpRequest, HttpResponse
from django.template.response import TemplateResponse
from django.urls import URLPattern
from django.utils.translation import gettext as _

from rill_django.store.migrated import NotMigrated, cure


def told_to_migrate(pattern: URLPattern, site: AdminSite) -> URLPattern:
    """Return the pattern with a view that answers with what to do if the tables are not there."""
    view: Callable[..., HttpResponse] = pattern.callback

    @wraps(view)
    def told(request: HttpRequest, *args: Any, **kwargs: Any) -> HttpResponse:
        try:
            response = view(request, *args, **kwargs)
            listed = (getattr(response, "context_data", None) or {}).get("cl")
            if listed is not None:
                bool(
                    listed.result_list
                )  # Else it would be read while the page is written, behind us.
            return response
        except NotMigrated as error:
            request.current_app = site.name
            context = {
                **site.each_context(request),
                "title": _("The log is not migrated"),
                "error": error,
                "cure": cure(error.using),
            }
            return TemplateResponse(
                request,
                "admin/rill_django/not_migrated.html",
                context,
                status=HTTPStatus.SERVICE_UNAVAILABLE,
            )

    return URLPattern(pattern.pattern, told, pattern.default_args, pattern.name)
