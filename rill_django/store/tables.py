"""The log's tables. Rows are appended by `DjangoEventStore` alone, and never changed."""

from __future__ import annotations

from datetime import datetime
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
    """Somebody tried to add, change or delete an event, or its place in the log, through the model."""

    def __init__(self, what: str = "") -> None:
        super().__init__(
            "Events are facts: they are appended by committing an aggregate, and never changed or "
            f"deleted. To correct one, record another event that says what is right.{what}"
        )


if TYPE_CHECKING:
    _BigIntegerField = models.BigIntegerField[int, int]
    _QuerySet = models.QuerySet[Any]
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

    create = update = delete = _raw_delete = _update = _insert = _refuse
    bulk_create = bulk_update = _refuse
    get_or_create = update_or_create = _refuse
    acreate = aupdate = adelete = abulk_create = abulk_update = _refuse
    aget_or_create = aupdate_or_create = _refuse


class AppendOnly(models.Model):
    """What is in the log: rows that the store alone adds, and nobody changes.

    Fixtures may add them, too: ``loaddata``, and ``serialized_rollback`` of tests.
    """

    objects: ClassVar[Any] = AppendOnlyQuerySet.as_manager()

    class Meta:
        abstract = True

    def save(self, *args: Any, **kwargs: Any) -> NoReturn:
        """Refuse."""
        raise ImmutableEvent

    def delete(self, *args: Any, **kwargs: Any) -> NoReturn:
        """Refuse."""
        raise ImmutableEvent

    asave = adelete = save_base = save

    def _save_table(
        self,
        raw: bool = False,
        cls: type[models.Model] | None = None,
        force_insert: bool = False,
        force_update: bool = False,
        using: str | None = None,
        update_fields: Any = None,
    ) -> bool:
        """Add a row of a fixture; what is there already stays as it is.

        Raises:
            ImmutableEvent: it is there and says something else, or this is no fixture.
        """
        if not raw:
            raise ImmutableEvent
        known = type(self)._base_manager.using(using).filter(pk=self.pk).first()
        if known is None:
            saved: bool = super()._save_table(  # type: ignore[misc]
                raw, cls, True, False, using, update_fields
            )
            return saved
        for field in self._meta.concrete_fields:
            mine, there = (field.to_python(getattr(one, field.attname)) for one in (self, known))
            if mine != there and not _is_same_moment(mine, there):
                raise ImmutableEvent(
                    f" (The fixture has {self._meta.label} {self.pk} with another {field.name} than the log.)"
                )
        return True


def _is_same_moment(of_fixture: Any, of_log: Any) -> bool:
    """Whether one is the other to the millisecond: more is not kept by ``dumpdata``."""
    if not isinstance(of_fixture, datetime) or not isinstance(of_log, datetime):
        return False
    return of_fixture == of_log.replace(microsecond=of_log.microsecond // 1000 * 1000)


class Event(AppendOnly):
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

    class Meta:
        app_label = "rill_django"
        verbose_name = _("event")
        verbose_name_plural = _("events")
        constraints = (
            models.UniqueConstraint(fields=("stream", "version"), name=LOST_RACE_CONSTRAINT),
        )

    def __str__(self) -> str:
        return f"{self.stream}@{self.version}"


class Position(AppendOnly):
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


class Unsequenced(AppendOnly):
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
