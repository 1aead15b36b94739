"""A page that says where every projection stands."""

from __future__ import annotations

from typing import Any

from django.contrib import admin
from django.core.exceptions import PermissionDenied
from django.http import HttpRequest
from django.template.response import TemplateResponse

from rill_django.admin.readonly import ReadOnlyAdmin
from rill_django.projections.status import projection_statuses
from rill_django.store.orm import DjangoEventStore


class CheckpointAdmin(ReadOnlyAdmin):
    """Shows all projections of the code, also those that have no checkpoint yet."""

    fields = (
        "name",
        "partition",
        "partitions",
        "is_beside",
        "state",
        "position",
        "version",
        "updated_at",
        "failed_event",
        "error_text",
    )
    readonly_fields = ("error_text",)

    class Media:
        css = {"all": ("rill_django/admin.css",)}

    @admin.display(description="error")
    def error_text(self, checkpoint: Any) -> str:
        """The traceback, with its line breaks."""
        from django.utils.html import format_html

        return format_html('<pre class="rill-json">{}</pre>', checkpoint.error or "–")

    def changelist_view(
        self, request: HttpRequest, extra_context: dict[str, Any] | None = None
    ) -> TemplateResponse:
        """Show position and lag of every projection."""
        if not self.has_view_permission(request):
            raise PermissionDenied
        store = DjangoEventStore()
        context = {
            **self.admin_site.each_context(request),
            "title": "Projections",
            "opts": self.opts,
            "media": self.media,
            "statuses": projection_statuses(store),
            "head": store.head(),
            **(extra_context or {}),
        }
        return TemplateResponse(request, "admin/rill_django/projections.html", context)
