"""Events applied to inline projections, inside the transaction that appends them."""

from __future__ import annotations

import logging
from collections.abc import Sequence

from django.db import (
    DatabaseError,
    IntegrityError,
    InterfaceError,
    connections,
    models,
    transaction,
)
from django.db.backends.base.base import BaseDatabaseWrapper

from rill_django.domain.errors import RillError
from rill_django.domain.records import RecordedEvent, StoredEvent
from rill_django.projections.inline.checkpoints import make_checkpoint
from rill_django.projections.inline.deferred import check_deferred, deferring
from rill_django.projections.inline.failures import Failure, failure_of, noting_failures
from rill_django.projections.inline.locks import share
from rill_django.projections.inline.messages import Kind
from rill_django.projections.inline.violations import Violation, violation_of
from rill_django.projections.postgresql_schemas import refuse_rows_of_another_schema
from rill_django.projections.projection import HandlerFailed, Projection
from rill_django.projections.rebuilding.tables import models_of
from rill_django.projections.registry import current_projections
from rill_django.projections.rows import RowProjection
from rill_django.repository.inline import Refused
from rill_django.store.orm import DjangoEventStore
from rill_django.store.trouble import Trouble, trouble_of

logger = logging.getLogger("rill_django.projections")

Events = Sequence[RecordedEvent]


class OlderCode(RillError, RuntimeError):
    """The rows of an inline projection are made by a newer version of its code than this process has."""

    def __init__(self, projection: Projection, version: int) -> None:
        super().__init__(
            f"The rows of {projection.name} are of version {version}, and this process has version "
            f"{projection.version}, which would spoil them. Restart it with the newer code; if the newer "
            f"code was taken back, run `manage.py rebuild_projections {projection.name}`."
        )


class Broken(Exception):
    """Rows could not be written; whether by a rule or a mistake is found out after the rollback.

    Attributes:
        projection: whose rows.
        events: those that were being applied.
        error: what the database said.
    """

    def __init__(
        self,
        projection: Projection,
        events: Events,
        error: IntegrityError,
        failures: Sequence[Failure],
    ) -> None:
        self.projection = projection
        self.events = events
        self.error = error
        self._failure = failure_of(error, failures)

    def violation(self, connection: BaseDatabaseWrapper) -> Violation | None:
        """Return the model's constraint that was violated, if it was one."""
        found = models_of(self.projection)
        return violation_of(self.error, found, connection, self._failure)

    def is_about_identity(self, violation: Violation) -> bool:
        """Whether the constraint says which row is which, and no more: by the projection's key, or a number.

        A row that was there would have been found by it. So somebody else has made it meanwhile.
        """
        if violation.kind is not Kind.UNIQUE:
            return False
        projection, fields = self.projection, frozenset(violation.fields)
        primary_key = violation.model._meta.pk
        if isinstance(primary_key, models.AutoField) and fields == {primary_key.name}:
            return True
        return (
            isinstance(projection, RowProjection)
            and violation.model is projection.model
            and fields == projection.key_fields
        )

    def as_failure(self) -> HandlerFailed:
        """Return the error of somebody who has written a handler wrongly."""
        failed = HandlerFailed(self.projection.name, self.events[-1], self.error)
        failed.__cause__ = self.error
        return failed

    def as_refusal(self, violation: Violation) -> Refused:
        """Return the answer to the command."""
        projection = self.projection
        return Refused(
            self.events[-1].stream,
            violation.reason(projection.rejections),
            {
                "constraint": violation.name,
                "model": violation.model._meta.label,
                "fields": list(violation.fields),
                "projection": projection.name,
            },
        )


class Application:
    """Events on their way into all inline projections that want them.

    Args:
        store: the log.
        appended: the events as they are stored.
        groups: what today's code makes of them; those of one group are applied together.
    """

    def __init__(
        self, store: DjangoEventStore, appended: Sequence[StoredEvent], groups: Sequence[Events]
    ) -> None:
        self._appended = appended
        self._groups = groups
        self._store = store
        connection = connections[store.using]
        assert isinstance(connection, BaseDatabaseWrapper)
        self._connection = connection

    def run(self) -> None:
        """Apply them.

        Raises:
            Broken: the database does not take the rows.
            HandlerFailed: a handler raised an exception.
            OlderCode: somebody else has newer code.
        """
        types = {event.type for group in self._groups for event in group}
        found = [
            one() for one in current_projections().inline if not types.isdisjoint(one.handlers)
        ]
        if found:
            versions = self._share(found)
            for projection in found:
                self._apply_to(projection, versions[projection.name])

    def _share(self, found: Sequence[Projection]) -> dict[str, int]:
        names = [one.name for one in found]
        versions = share(self._connection, names)
        missing = [one for one in found if one.name not in versions]
        if missing:
            for projection in missing:
                refuse_rows_of_another_schema(projection)
                make_checkpoint(projection, self._store, self._appended)
            versions = share(self._connection, names)
        return versions

    def _apply_to(self, projection: Projection, version: int) -> None:
        if version > projection.version:
            raise OlderCode(projection, version)
        if version == 0:
            return  # What is built from the log will have these events, too.
        for group in self._groups:
            events = [event for event in group if event.type in projection.handlers]
            if events and version == projection.version:
                self._apply(projection, events)
            elif events:
                self._apply_to_older_rows(projection, events)

    def _apply_to_older_rows(self, projection: Projection, events: Events) -> None:
        """Do what can be done for rows that will soon be replaced: their constraints go on to hold."""
        try:
            with transaction.atomic(using=self._store.using):
                self._apply(projection, events)
        except (HandlerFailed, Broken) as error:
            failed = error
            if isinstance(error, Broken):
                if error.violation(self._connection) is not None:
                    raise
                failed = error.as_failure()
            logger.warning("rows of an older version were left as they are: %s", failed)

    def _apply(self, projection: Projection, events: Events) -> None:
        found = models_of(projection)
        with noting_failures(found, self._connection) as failures:
            try:
                session = projection.session(is_shared=True)
                session.apply(events)
                session.flush()
                if late := deferring(found):
                    check_deferred(late, self._connection)
            except HandlerFailed as error:
                cause = error.__cause__
                if isinstance(cause, IntegrityError):
                    raise Broken(projection, [error.event], cause, failures) from cause
                if isinstance(cause, (DatabaseError, InterfaceError)) and _passes(cause):
                    # Nobody's handler's fault: a deadlock, for one.
                    raise cause from cause.__cause__
                raise
            except IntegrityError as error:
                raise Broken(projection, events, error, failures) from error
            except (RillError, InterfaceError):
                raise
            except Exception as error:
                if isinstance(error, DatabaseError) and _passes(error):
                    raise
                raise HandlerFailed(projection.name, events[-1], error) from error


def _passes(error: Exception) -> bool:
    """Whether the command may be tried again. A table or column that is not there is better named."""
    return trouble_of(error) not in (None, Trouble.SCHEMA)
