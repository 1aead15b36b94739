"""Pages that say where every projection stands, and have those mended that stand still."""

from __future__ import annotations

from typing import Any

from django.contrib import admin, messages
from django.contrib.auth import get_permission_codename
from django.core.exceptions import PermissionDenied
from django.db import router
from django.http import (
    Http404,
    HttpRequest,
    HttpResponse,
    HttpResponseNotAllowed,
    HttpResponseRedirect,
)
from django.template.response import TemplateResponse
from django.urls import URLPattern, path
from django.utils.html import format_html
from django.utils.safestring import SafeString
from django.utils.translation import gettext as _

from rill_django.admin.held import event_urls, projection_link
from rill_django.admin.links import page_url
from rill_django.admin.mending import Mending, SkipForm
from rill_django.admin.not_migrated import told_to_migrate
from rill_django.admin.readonly import ReadOnlyAdmin, local_text
from rill_django.admin.standing import Page, Standing, error_of_waiting
from rill_django.models import Checkpoint
from rill_django.projections.projection import Projection
from rill_django.projections.reasons import reason_of
from rill_django.projections.registry import UnknownProjection, current_projections
from rill_django.projections.status import projection_statuses


class CheckpointAdmin(ReadOnlyAdmin):
    """Shows all projections of the code, also those that have no checkpoint yet."""

    fields = (
        "projection",
        "partition",
        "partitions",
        "is_beside",
        "state",
        "position",
        "version",
        "moved",
        "failed_event",
        "error_text",
    )
    readonly_fields = ("projection", "moved", "error_text")

    class Media:
        css = {"all": ("rill_django/admin.css",)}

    @admin.display(description="projection")
    def projection(self, checkpoint: Checkpoint) -> SafeString:
        """Lead to the projection's page."""
        return projection_link(checkpoint, checkpoint.name)

    @admin.display(description="updated at")
    def moved(self, checkpoint: Checkpoint) -> str:
        """When, in the current time zone."""
        return local_text(checkpoint.updated_at)

    @admin.display(description="error")
    def error_text(self, checkpoint: Any) -> SafeString:
        """The traceback, with its line breaks."""
        return format_html('<pre class="rill-json">{}</pre>', checkpoint.error or "–")

    def get_urls(self) -> list[URLPattern]:
        """Add the pages of single projections, in front of those of single checkpoints."""
        pages = (
            ("projection", self.projection_view),
            ("retry", self.retry_view),
            ("skip", self.skip_view),
        )
        own = [
            path(
                f"{name}/<path:name>/",
                self.admin_site.admin_view(view),
                name=f"{self.opts.app_label}_{self.opts.model_name}_{name}",
            )
            for name, view in pages
        ]
        return [told_to_migrate(one, self.admin_site) for one in own] + super().get_urls()

    def has_mend_permission(self, request: HttpRequest) -> bool:
        """Whether the user may retry and skip: ``rill_django.change_checkpoint``.

        Nobody may edit a checkpoint, so this is what the permission is good for.
        """
        codename = get_permission_codename("change", self.opts)
        return request.user.has_perm(f"{self.opts.app_label}.{codename}")

    def changelist_view(
        self, request: HttpRequest, extra_context: dict[str, Any] | None = None
    ) -> TemplateResponse:
        """Show position and lag of every projection."""
        self._require(self.has_view_permission(request))
        standings = [Standing(one) for one in projection_statuses()]
        context = {
            "title": _("Projections"),
            "standings": standings,
            "log": standings[0].status if standings else None,
            **(extra_context or {}),
        }
        return self._page(request, "projections", context)

    def projection_view(self, request: HttpRequest, name: str) -> HttpResponse:
        """Show one projection, with its parked and skipped events."""
        self._require(self.has_view_permission(request))
        projection = self._named(name)
        standing = Standing(*projection_statuses(names=[name]))
        context = {
            "title": name,
            "projection": projection,
            "standing": standing,
            "standings": [standing],
            "page": Page(projection, standing, self.links(request)),
            "history_of": self._history_of(projection),
        }
        return self._page(request, "projection", context)

    def retry_view(self, request: HttpRequest, name: str) -> HttpResponse:
        """Do what ``manage.py retry_projection`` does."""
        self._require(self.has_mend_permission(request))
        if request.method != "POST":
            return HttpResponseNotAllowed(["POST"])
        Mending(self, request, self._named(name)).retry()
        return self._back_to(name)

    def skip_view(self, request: HttpRequest, name: str) -> HttpResponse:
        """Ask for a reason, and do what ``manage.py retry_projection --skip`` does."""
        self._require(self.has_mend_permission(request))
        projection = self._named(name)
        event = request.GET.get("event", "")
        form = SkipForm(request.POST if request.method == "POST" else None)
        error = error_of_waiting(projection, event)
        if error is None:
            why = _("%(name)s does not wait for %(event)s, so it is not skipped.")
            self.message_user(request, why % {"name": name, "event": event or "–"}, messages.ERROR)
        elif form.is_valid():
            Mending(self, request, projection).skip(event, form.cleaned_data["reason"])
        else:
            context = {
                "title": _("Skip an event for good"),
                "projection": projection,
                "event": event,
                "url": event_urls({event}, self.links(request)).get(event),
                "error": error,
                "reason": reason_of(error),
                "form": form,
            }
            return self._page(request, "skip", context)
        return self._back_to(name)

    def _page(
        self, request: HttpRequest, template: str, context: dict[str, Any]
    ) -> TemplateResponse:
        request.current_app = self.admin_site.name
        context = {
            **self.admin_site.each_context(request),
            "opts": self.opts,
            "media": self.media,
            "may_mend": self.has_mend_permission(request),
            **context,
        }
        return TemplateResponse(request, f"admin/rill_django/{template}.html", context)

    def _back_to(self, name: str) -> HttpResponseRedirect:
        return HttpResponseRedirect(page_url(self.admin_site, self.model, "projection", name))

    def _history_of(self, projection: Projection) -> int | None:
        """Return the key of the checkpoint that retries are logged with, if the admin can see it."""
        if projection.using != router.db_for_read(Checkpoint):
            return None
        found: int | None = (
            Checkpoint.objects.filter(name=projection.name, is_beside=False)
            .order_by("partition")
            .values_list("pk", flat=True)
            .first()
        )
        return found

    @staticmethod
    def _named(name: str) -> Projection:
        try:
            (projection,) = current_projections().named([name])
        except UnknownProjection as error:
            raise Http404(str(error)) from None
        return projection

    @staticmethod
    def _require(is_allowed: bool) -> None:
        if not is_allowed:
            raise PermissionDenied
