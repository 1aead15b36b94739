"""What ``manage.py retry_projection`` does, for a button: retrying, skipping, and telling what came of it."""

from __future__ import annotations

import logging
from collections.abc import Iterator
from typing import Any

from django import forms
from django.contrib import admin, messages
from django.contrib.admin.widgets import AdminTextareaWidget
from django.db import transaction
from django.http import HttpRequest
from django.utils.translation import gettext as _
from django.utils.translation import gettext_lazy, ngettext

from rill_django.models import Checkpoint, ParkedEvent
from rill_django.projections.mending import NothingToSkip, Retried, retry, skip
from rill_django.projections.projection import Projection
from rill_django.projections.reasons import reason_of

logger = logging.getLogger("rill_django.admin")

REASONS_TOLD = 3


class SkipForm(forms.Form):
    """Why an event is never to be applied."""

    reason = forms.CharField(
        label=gettext_lazy("Reason"),
        widget=AdminTextareaWidget(attrs={"rows": 3}),
        help_text=gettext_lazy(
            "Kept with the event, and your name, for those who wonder later why it is missing."
        ),
    )


class Mending:
    """Retries and skips on behalf of somebody who looks at the admin.

    Args:
        checkpoints: the admin that logs it.
        request: whose user does it, and is told.
        projection: what is mended.
    """

    def __init__(
        self, checkpoints: admin.ModelAdmin[Any], request: HttpRequest, projection: Projection
    ) -> None:
        self._admin = checkpoints
        self._request = request
        self._projection = projection

    def retry(self) -> None:
        """Retry, and tell what came of it, also if that is an error."""
        name = self._projection.name
        try:
            done = retry(self._projection)
        except Exception as error:
            # Whatever it is, who pressed the button is told; and what is done already, is done.
            logger.exception("retrying %s failed", name)
            why = f"{type(error).__name__}: {error}"
            self._log(_("Tried to retry it: %s") % why)
            self._tell(
                messages.ERROR,
                _("%(name)s could not be retried: %(why)s") % {"name": name, "why": why},
            )
            return
        told = list(self._outcome(done))
        self._log(_("Retried. %s") % " ".join(text for _level, text in told))
        for level, text in told:
            self._tell(level, text)

    def skip(self, event: str, reason: str) -> None:
        """Skip an event and retry the others, and tell what came of it, also if that is an error."""
        name = self._projection.name
        try:
            with transaction.atomic(using=self._projection.using):
                skipped = skip(self._projection, event, reason)
                # Who did it is known to this entry alone.
                self._admin.log_addition(self._request, skipped, reason)
        except NothingToSkip as error:
            self._tell(messages.ERROR, str(error))
            return
        except Exception as error:
            logger.exception("skipping %s in %s failed", event, name)
            self._tell(
                messages.ERROR,
                _("%(event)s could not be skipped: %(why)s")
                % {"event": event, "why": f"{type(error).__name__}: {error}"},
            )
            return
        self._log(
            _("Skipped %(event)s: %(reason)s") % {"event": event, "reason": reason},
        )
        self._tell(
            messages.SUCCESS,
            _("%(event)s will never be applied to %(name)s.") % {"event": event, "name": name},
        )
        self.retry()

    def _outcome(self, done: Retried) -> Iterator[tuple[int, str]]:
        """Yield what a retry came to, as messages with their levels."""
        name = self._projection.name
        if not any(done):
            yield (
                messages.INFO,
                _("There was nothing to retry: %s neither stands still nor has parked events.")
                % name,
            )
        if done.resumed == 1:
            yield (
                messages.SUCCESS,
                _("%s is taken up again where it stood, by a running manage.py run_projections.")
                % name,
            )
        elif done.resumed:
            yield (
                messages.SUCCESS,
                _(
                    "%(number)d partitions of %(name)s are taken up again where they stood, by a "
                    "running manage.py run_projections."
                )
                % {"number": done.resumed, "name": name},
            )
        if done.applied:
            yield (
                messages.SUCCESS,
                ngettext(
                    "%d parked event is applied.", "%d parked events are applied.", done.applied
                )
                % done.applied,
            )
        if done.still_parked:
            yield (
                messages.WARNING,
                ngettext(
                    "%(number)d event is still parked. %(why)s",
                    "%(number)d events are still parked. %(why)s",
                    done.still_parked,
                )
                % {"number": done.still_parked, "why": self._why_parked()},
            )

    def _why_parked(self) -> str:
        """Return the errors of the first parked events that have one."""
        failed = (
            ParkedEvent.objects.using(self._projection.using)
            .filter(projection=self._projection.name)
            .exclude(error="")
            .order_by("position")
        )
        return " ".join(reason_of(one.error) for one in failed[:REASONS_TOLD])

    def _log(self, text: str) -> None:
        checkpoint = (
            Checkpoint.objects.using(self._projection.using)
            .filter(name=self._projection.name, is_beside=False)
            .order_by("partition")
            .first()
        )
        if checkpoint is not None:  # There is none before a worker has ever run.
            self._admin.log_change(self._request, checkpoint, text)

    def _tell(self, level: int, text: str) -> None:
        self._admin.message_user(self._request, text, level)
