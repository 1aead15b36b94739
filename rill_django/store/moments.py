"""Exact moments in the library's own tables, whatever the project's settings say of time zones."""

from __future__ import annotations

from datetime import datetime, timedelta, timezone
from typing import TYPE_CHECKING, Any
from zoneinfo import ZoneInfo

from django.db import models
from django.db.backends.base.base import BaseDatabaseWrapper
from django.db.models.expressions import Expression, Func
from django.db.models.sql.compiler import SQLCompiler
from django.utils.timezone import get_current_timezone
from django.utils.timezone import now as django_now

if TYPE_CHECKING:
    _DateTimeField = models.DateTimeField[datetime, datetime]
else:
    _DateTimeField = models.DateTimeField


def now() -> datetime:
    """Return this host's time, aware, in UTC. Django's ``timezone.now`` is naive without ``USE_TZ``."""
    return datetime.now(timezone.utc)


def local(moment: datetime) -> datetime:
    """Return an aware time in the current time zone, for people; also without ``USE_TZ``."""
    return moment.astimezone(get_current_timezone())


def utc_text(moment: datetime) -> str:
    """Return an aware time as a column without zones holds it: in UTC, always with microseconds."""
    return moment.astimezone(timezone.utc).strftime("%Y-%m-%d %H:%M:%S.%f")


class DatabaseTime(Func):
    """The time by the clock of the database, or some time later: the same for all hosts.

    Args:
        later: how much later.
    """

    def __init__(self, later: timedelta = timedelta(0)) -> None:
        super().__init__(output_field=MomentField())
        self._later = later

    def as_postgresql(
        self, compiler: SQLCompiler, connection: BaseDatabaseWrapper, **_: Any
    ) -> tuple[str, list[Any]]:
        """Return the time of the statement, not that of the transaction, which may be old."""
        return "(statement_timestamp() + %s::interval)", [self._later]

    def as_mysql(
        self, compiler: SQLCompiler, connection: BaseDatabaseWrapper, **_: Any
    ) -> tuple[str, list[Any]]:
        """Return the time in UTC, whatever the session's zone is."""
        microseconds = self._later // timedelta(microseconds=1)
        return "(UTC_TIMESTAMP(6) + INTERVAL %s MICROSECOND)", [microseconds]

    def as_sqlite(
        self, compiler: SQLCompiler, connection: BaseDatabaseWrapper, **_: Any
    ) -> tuple[str, tuple[str | int, ...]]:
        """Return this host's time: it is the database's."""
        return "%s", (utc_text(now() + self._later),)


class MomentField(_DateTimeField):
    """A time that is aware in Python and UTC in the database.

    Django's own field keeps local times where ``USE_TZ`` is off, or where ``DATABASES`` names a
    ``TIME_ZONE``: an hour each autumn could not be told from the next, and the log, which is also read
    and written without the ORM, would mean another moment by them.
    """

    def deconstruct(self) -> Any:
        """See Django. In migrations it is Django's field: the column is the same."""
        name, _, args, kwargs = super().deconstruct()
        if kwargs.get("default") is now:
            kwargs["default"] = django_now
        return name, "django.db.models.DateTimeField", args, kwargs

    def from_db_value(
        self, value: datetime | None, expression: Expression, connection: BaseDatabaseWrapper
    ) -> datetime | None:
        """Return what is stored as an aware time in UTC."""
        if value is None:
            return None
        if connection.vendor != "postgresql":
            # The column has no zone. What Django has put to it is that of the connection.
            return value.replace(tzinfo=timezone.utc)
        if value.tzinfo is None:
            value = value.replace(tzinfo=ZoneInfo(connection.timezone_name))
        return value.astimezone(timezone.utc)

    def get_db_prep_value(
        self, value: Any, connection: BaseDatabaseWrapper, prepared: bool = False
    ) -> Any:
        """Return the value as it is stored, and compared with."""
        value = value if prepared else self.get_prep_value(value)
        if not isinstance(value, datetime):
            return value
        # Naive times are those of the project, as everywhere in Django.
        moment = value.replace(tzinfo=get_current_timezone()) if value.tzinfo is None else value
        # The other databases get it without a zone, as text, which Django leaves as it is.
        return moment if connection.vendor == "postgresql" else utc_text(moment)
