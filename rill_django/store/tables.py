"""The log's tables. Rows are appended by `DjangoEventStore` alone, and never changed."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, ClassVar, NoReturn

from django.core.serializers.json import DjangoJSONEncoder
from django.db import models
from django.db.backends.base.base import BaseDatabaseWrapper
from django.utils.translation import gettext_lazy as _

from rill_django.domain.errors import RillError
from rill_django.domain.streams import MAX_STREAM_LENGTH
from rill_django.store.answers import MAX_KEY_LENGTH
from rill_django.store.moments import MomentField
from rill_django.store.texts import IdentityField

LOST_RACE_CONSTRAINT = "rill_django_event_stream_version"
MAX_TYPE_LENGTH = 255


class ImmutableEvent(RillError, TypeError):
    """Somebody tried to add, change or delete an event through the model."""

    def __init__(self) -> None:
        super().__init__(
            "Events are facts: they are appended by committing an aggregate, and never changed or "
            "deleted. To correct one, record another event that says what is right."
        )


if TYPE_CHECKING:
    _BigIntegerField = models.BigIntegerField[int, int]
    _QuerySet = models.QuerySet["Event"]
else:
    _BigIntegerField = models.BigIntegerField
    _QuerySet = models.QuerySet


class PositionField(_BigIntegerField):
    """A whole number that is SQLite's own row number there, and so needs no index besides."""

    def db_type(self, connection: BaseDatabaseWrapper) -> str | None:
        """See Django."""
        return "integer" if connection.vendor == "sqlite" else super().db_type(connection)


class AppendOnlyQuerySet(_QuerySet):
    """A queryset that only reads."""

    def _refuse(self, *args: Any, **kwargs: Any) -> NoReturn:
        raise ImmutableEvent

    create = update = delete = _refuse
    bulk_create = bulk_update = _refuse
    get_or_create = update_or_create = _refuse
    acreate = aupdate = adelete = abulk_create = abulk_update = _refuse
    aget_or_create = aupdate_or_create = _refuse


class Event(models.Model):
    """One fact of the log.

    Its identity for the outside world is ``stream@version``; its place in the whole log is its
    `Position`, which it gets after it is committed.
    """

    id = models.BigAutoField(primary_key=True)
    stream = IdentityField(_("stream"), max_length=MAX_STREAM_LENGTH)
    version = models.PositiveIntegerField(_("version"))
    type = IdentityField(_("type"), max_length=MAX_TYPE_LENGTH)
    data = models.JSONField(_("data"), encoder=DjangoJSONEncoder)
    metadata = models.JSONField(_("metadata"), default=dict, encoder=DjangoJSONEncoder)
    recorded_at = MomentField(_("recorded at"))

    objects: ClassVar[Any] = AppendOnlyQuerySet.as_manager()

    class Meta:
        app_label = "rill_django"
        verbose_name = _("event")
        verbose_name_plural = _("events")
        constraints = (
            models.UniqueConstraint(fields=("stream", "version"), name=LOST_RACE_CONSTRAINT),
        )

    def __str__(self) -> str:
        return f"{self.stream}@{self.version}"

    def save(self, *args: Any, **kwargs: Any) -> NoReturn:
        """Refuse."""
        raise ImmutableEvent

    def delete(self, *args: Any, **kwargs: Any) -> NoReturn:
        """Refuse."""
        raise ImmutableEvent


class Position(models.Model):
    """The place of an event in the log: consecutive from 1, in an order that never changes."""

    position = PositionField(_("position"), primary_key=True)
    event = models.OneToOneField(
        Event, on_delete=models.PROTECT, related_name="place", db_constraint=False
    )

    class Meta:
        app_label = "rill_django"
        verbose_name = _("position")
        verbose_name_plural = _("positions")

    def __str__(self) -> str:
        return str(self.position)


class Unsequenced(models.Model):
    """An event that has no position yet: appended, and maybe not even committed."""

    event = models.OneToOneField(
        Event, on_delete=models.PROTECT, primary_key=True, related_name="+", db_constraint=False
    )

    class Meta:
        app_label = "rill_django"
        verbose_name = _("unsequenced event")
        verbose_name_plural = _("unsequenced events")

    def __str__(self) -> str:
        return str(self.pk)


class StoredType(models.Model):
    """A type of event that the log has, in streams of a category, and where its first one is.

    It may be there twice, see `rill_django.store.stored_types`.
    """

    id = models.BigAutoField(primary_key=True)
    category = IdentityField(_("category"), max_length=MAX_STREAM_LENGTH)
    type = IdentityField(_("type"), max_length=MAX_TYPE_LENGTH)
    stream = IdentityField(_("stream"), max_length=MAX_STREAM_LENGTH)
    version = models.PositiveIntegerField(_("version"))

    class Meta:
        app_label = "rill_django"
        verbose_name = _("stored type")
        verbose_name_plural = _("stored types")

    def __str__(self) -> str:
        return f"{self.type} in {self.category}"


class Answer(models.Model):
    """What was answered to a command that came with an idempotency key."""

    key = IdentityField(_("idempotency key"), max_length=MAX_KEY_LENGTH, primary_key=True)
    command = IdentityField(_("digest of the command"), max_length=64)
    answer = models.BinaryField(_("answer"), default=b"")
    expires_at = MomentField(_("expires at"), db_index=True)

    class Meta:
        app_label = "rill_django"
        verbose_name = _("remembered answer")
        verbose_name_plural = _("remembered answers")

    def __str__(self) -> str:
        return self.key
