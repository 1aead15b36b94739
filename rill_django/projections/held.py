"""Events that a projection could not apply: parked for later, or skipped by somebody's decision."""

from __future__ import annotations

from django.db import models
from django.utils.translation import gettext_lazy as _

from rill_django.store.moments import MomentField, now
from rill_django.store.texts import IdentityField


class ParkedEvent(models.Model):
    """An event that waits, because a handler failed on it or on an earlier one of the same key."""

    projection = IdentityField(_("projection"), max_length=255)
    partition = models.PositiveSmallIntegerField(_("partition"), default=0)
    position = models.BigIntegerField(_("position"))
    event = IdentityField(_("event"), max_length=300)
    # Which of the events that it is upcast to; null: all of them.
    parts = models.JSONField(_("parts"), null=True)
    keys = models.JSONField(_("keys"))
    error = models.TextField(_("error"), blank=True)
    parked_at = MomentField(_("parked at"), default=now)

    class Meta:
        app_label = "rill_django"
        verbose_name = _("parked event")
        verbose_name_plural = _("parked events")
        ordering = ("projection", "position")
        constraints = (
            models.UniqueConstraint(
                fields=("projection", "partition", "position"), name="rill_django_parked_unique"
            ),
        )

    def __str__(self) -> str:
        return f"{self.event} for {self.projection}"


class SkippedEvent(models.Model):
    """An event that a projection will never apply, because somebody decided so."""

    projection = IdentityField(_("projection"), max_length=255)
    position = models.BigIntegerField(_("position"))
    event = IdentityField(_("event"), max_length=300)
    # As for a parked event.
    parts = models.JSONField(_("parts"), null=True)
    error = models.TextField(_("error"), blank=True)
    reason = models.TextField(_("reason"))
    skipped_at = MomentField(_("skipped at"), default=now)

    class Meta:
        app_label = "rill_django"
        verbose_name = _("skipped event")
        verbose_name_plural = _("skipped events")
        ordering = ("projection", "position")

    def __str__(self) -> str:
        return f"{self.event} for {self.projection}"
