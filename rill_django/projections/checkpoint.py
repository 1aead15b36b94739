"""How far a projection has come: a row that moves in the same transaction as the projection's own."""

from __future__ import annotations

from datetime import datetime

from django.db import models
from django.utils.translation import gettext_lazy as _

from rill_django.store.moments import MomentField, now
from rill_django.store.texts import IdentityField


class State(models.TextChoices):
    """What a projection is doing."""

    RUNNING = "running"
    STOPPED = "stopped"


INLINE = 0
"""Number of partitions of an inline projection: none that a worker could advance."""


class Checkpoint(models.Model):
    """The last position that a projection has applied, in the database that it writes to.

    A projection that is split has one for each partition; one that is being rebuilt has others, for the
    rows that are made beside the live ones.

    That of an inline projection says which version of its code has built the rows, 0 for none, and at
    which position. From then on commands keep the rows up to date, and it does not move.
    """

    name = IdentityField(_("projection"), max_length=255)
    partition = models.PositiveSmallIntegerField(_("partition"), default=0)
    partitions = models.PositiveSmallIntegerField(_("of so many partitions"), default=1)
    is_beside = models.BooleanField(_("beside the live rows"), default=False)
    version = models.PositiveIntegerField(_("version of its code"), default=1)
    position = models.BigIntegerField(_("position"), default=0)
    seen = IdentityField(_("event at that position"), max_length=300, blank=True)
    state = models.CharField(
        _("state"), max_length=20, choices=State.choices, default=State.RUNNING
    )
    failed_event = IdentityField(_("event that failed"), max_length=300, blank=True)
    error = models.TextField(_("error"), blank=True)
    # Set while a worker waits for the database, or for a newer release: the error says why, and it goes on by
    # itself.
    waiting_since: models.Field[datetime | None, datetime | None] = MomentField(  # type: ignore[assignment, misc]
        _("waiting since"), null=True
    )
    updated_at = MomentField(_("updated at"), default=now)

    class Meta:
        app_label = "rill_django"
        verbose_name = _("projection")
        verbose_name_plural = _("projections")
        ordering = ("name", "is_beside", "partition")
        constraints = (
            models.UniqueConstraint(
                fields=("name", "is_beside", "partition"), name="rill_django_checkpoint_unique"
            ),
        )

    def __str__(self) -> str:
        return f"{self.name} at {self.position}"

    @property
    def is_inline(self) -> bool:
        """Whether commands keep the rows up to date, and no worker."""
        return self.partitions == INLINE

    def move_to(self, position: int, seen: str) -> None:
        """Note that all events up to this position are applied.

        Args:
            position: of the last one, also if it was not of interest.
            seen: its ``stream@version``, by which the log is known again; see `reason_for_distrust`.
        """
        self.position = position
        self.seen = seen
        self.state = State.RUNNING
        self._clear()
        self._save()

    def stop(self, failed_event: str, error: str) -> None:
        """Note that the projection stands still, and why."""
        self.state = State.STOPPED
        self.failed_event = failed_event
        self.error = error
        self.waiting_since = None
        self._save()

    def wait(self, failed_event: str, error: str) -> None:
        """Note that a worker waits, for the database or for a newer release, and why.

        It is no move: `Checkpoint.updated_at` stays.
        """
        self.waiting_since = self.waiting_since or now()
        self.failed_event = failed_event
        self.error = error
        self.save(update_fields=("waiting_since", "failed_event", "error"))

    @property
    def is_waiting(self) -> bool:
        """Whether a worker waits. Not what another release has moved meanwhile."""
        return self.waiting_since is not None and self.state == State.RUNNING and bool(self.error)

    def _clear(self) -> None:
        self.failed_event = self.error = ""
        self.waiting_since = None

    def resume(self) -> None:
        """Note that a worker may take it up again, where it is."""
        self.state = State.RUNNING
        self._clear()
        self._save()

    def touch(self) -> None:
        """Note that rows have changed where a worker would not expect it: it looks at them anew."""
        self._save()

    def _save(self) -> None:
        self.updated_at = now()
        self.save(
            update_fields=(
                "version",
                "position",
                "seen",
                "state",
                "failed_event",
                "error",
                "waiting_since",
                "updated_at",
            )
        )
