"""Projections with free handlers, and what all projections have in common."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from enum import Enum
from functools import cached_property
from itertools import groupby
from time import monotonic
from typing import Any, ClassVar

from django.db import router
from django.db.models import Model

from rill_django.domain.errors import DefinitionError, RillError
from rill_django.domain.names import app_label_of
from rill_django.domain.records import RecordedEvent
from rill_django.domain.tracebacks import shorten
from rill_django.projections.definition import refuse_other_arguments, refuse_other_models
from rill_django.projections.handler_marks import KeyOptions, handlers_of
from rill_django.projections.handler_results import refuse_result
from rill_django.projections.handlers import handlers_at_work
from rill_django.projections.registry import current_projections
from rill_django.projections.sessions import ROWS_IN_MEMORY, DirectSession, Session
from rill_django.projections.turns import Turn


class OnError(Enum):
    """What becomes of a projection whose handler keeps failing on an event."""

    STOP = "stop"
    """The projection stands still at that event, until it is mended."""
    PARK = "park"
    """The event waits, and so do later ones of the same key, in order; all others go on."""


STOP = OnError.STOP
PARK = OnError.PARK


class HandlerFailed(RillError):
    """A handler raised an exception, which is the cause of this one.

    Attributes:
        projection: the projection's name.
        event: the event it was given.
    """

    def __init__(self, projection: str, event: RecordedEvent, cause: Exception) -> None:
        self.projection = projection
        self.event = event
        super().__init__(
            f"{projection} failed on {event.identity} ({event.type}, position {event.position}): "
            f"{type(cause).__name__}: {cause}"
        )


class Projection:
    """Derived data with handlers that run any ORM code.

    A subclass that has handlers is registered under its name, and kept up to date by the worker. It must
    write to its own models only; these are emptied by a rebuild::

        class Audit(Projection):
            models = (AuditLine,)

            @on(Account.opened)
            def opened(self, event):
                AuditLine.objects.create(text=f"{event.owner} opened {event.number}")

    Attributes:
        name: stable name of its checkpoint; default: the app's label and the class's name.
        version: to be raised when the handlers' meaning changes.
        models: the models that it writes to.
        on_error: `STOP` (the default) or `PARK`.
        partitions: number of parts, by key, that are worked on independently of each other.
        inline: whether commands apply their events to it themselves, in their own transaction. A
            constraint of its models that is violated rejects the command.
        rejections: for an inline projection: the reason of such a rejection, by the name of the
            constraint, or that of its field, or a tuple of several fields' names.
        handlers: handlers by event type name, made from the methods marked with ``@on`` and ``@on_batch``.
        key_overrides: what single handlers say about rows, by event type name; see `RowProjection`.
    """

    name: ClassVar[str]
    version: ClassVar[int] = 1
    models: ClassVar[tuple[type[Model], ...]] = ()
    on_error: ClassVar[OnError] = STOP
    partitions: ClassVar[int] = 1
    inline: ClassVar[bool] = False
    rejections: ClassVar[Mapping[str | tuple[str, ...], str]] = {}
    handlers: ClassVar[Mapping[str, Callable[..., Any]]] = {}
    key_overrides: ClassVar[Mapping[str, KeyOptions]] = {}
    batch_handlers: ClassVar[frozenset[Callable[..., Any]]] = frozenset()
    _handlers_get: ClassVar[tuple[str, ...]] = ("self", "event")
    _is_named: ClassVar[bool]
    _own_models: ClassVar[frozenset[type[Model]]]

    def __init_subclass__(cls, **options: Any) -> None:
        super().__init_subclass__(**options)
        try:
            cls._take_type_arguments()
            cls.handlers, cls.key_overrides, cls.batch_handlers = handlers_of(
                cls, cls._handlers_get
            )
            cls._is_named = "name" in vars(cls)
            if not cls._is_named:
                cls.name = f"{app_label_of(cls.__module__)}.{cls.__name__}"
            if cls.handlers:
                cls.check_definition()
                cls._check_inline()
                current_projections().add(cls)
        except Exception as error:
            shorten(error)
            raise

    @classmethod
    def _take_type_arguments(cls) -> None:
        """Do what a class's type arguments say, if it has any."""

    @classmethod
    def _check_inline(cls) -> None:
        where = f"{cls.__module__}.{cls.__qualname__}"
        if cls.inline and cls.partitions > 1:
            raise DefinitionError(
                f"{where}: an inline projection is worked on by all commands at once, and has no "
                "partitions. Write partitions = 1, or leave it to workers: inline = False"
            )
        if cls.inline and cls.on_error is OnError.PARK:
            raise DefinitionError(
                f"{where}: a command whose event an inline projection cannot apply fails, so that there is "
                "nothing to park. Leave on_error out, or leave it to workers: inline = False"
            )
        if cls.rejections and not cls.inline:
            raise DefinitionError(
                f"{where}: only the constraints of an inline projection reject commands. Write "
                "inline = True, or leave rejections out."
            )

    @classmethod
    def is_named(cls) -> bool:
        """Whether its name was given, and does not follow from where it is defined."""
        return cls._is_named

    @classmethod
    def check_definition(cls) -> None:
        """Raise `DefinitionError` if the projection cannot work."""
        where = f"{cls.__module__}.{cls.__qualname__}"
        refuse_other_models(cls.models, where)
        if not cls.models:
            raise DefinitionError(
                f"{where} does not say which models it writes to. "
                "Write e.g. models = (Balance,), so that it can be rebuilt."
            )
        for handler in cls.batch_handlers:
            refuse_other_arguments(handler, ("events",), where)
        if cls.key_overrides:
            raise DefinitionError(
                f"{cls.__module__}.{cls.__qualname__}: @on takes key= and keys= in a RowProjection only."
            )

    @property
    def using(self) -> str:
        """Alias of the database that the projection and its checkpoint are written to."""
        return router.db_for_write(self.models[0])

    def apply(self, events: Sequence[RecordedEvent]) -> None:
        """Apply events of the log, inside the transaction that also moves the checkpoint.

        Raises:
            HandlerFailed: a handler raised an exception. One from a method marked with ``@on_batch`` that
                was given several events comes as it is: any of them may be the cause.
        """
        with handlers_at_work(self):
            self._apply(events)

    def _apply(self, events: Sequence[RecordedEvent]) -> None:
        if not self.batch_handlers:
            self.apply_within(events, Turn())
            return
        handlers = self.handlers
        wanted = [event for event in events if event.type in handlers]
        for handler, group in groupby(wanted, key=lambda event: handlers[event.type]):
            if handler not in self.batch_handlers:
                for event in group:
                    self._handle(handler, event, event)
            elif len(together := list(group)) > 1:
                if (result := handler(self, together)) is not None:
                    refuse_result(handler, result)
            else:
                self._handle(handler, together, together[0])

    @property
    def applies_one_by_one(self) -> bool:
        """Whether handlers get one event at a time, so that `apply_within` can be used."""
        return not self.batch_handlers and type(self).apply is Projection.apply

    def apply_within(self, events: Sequence[RecordedEvent], turn: Turn) -> int | None:
        """Apply events while the turn lasts; return the position up to which they are, ``None``: all."""
        handlers = self.handlers
        position = (events[0].position or 0) if events else 0
        for event in events:
            if monotonic() >= turn.look_at and event.position != position and turn.is_over():
                return position
            position = event.position or 0
            if event.type in handlers:
                self._handle(handlers[event.type], event, event)
        return None

    def _handle(self, handler: Callable[..., Any], given: Any, event: RecordedEvent) -> None:
        """Call a handler, and name the event in whatever it raises."""
        try:
            if (result := handler(self, given)) is not None:
                refuse_result(handler, result)
        except Exception as error:
            raise HandlerFailed(self.name, event, error) from error

    def session(
        self, *, max_rows: int = ROWS_IN_MEMORY, is_empty: bool = False, is_shared: bool = False
    ) -> Session:
        """Begin to work over several batches; see `Session`.

        Args:
            max_rows: rows kept in memory between batches; when there are more, they are written and
                forgotten.
            is_empty: the projection's tables have no rows yet, as in a rebuild: none is looked for.
            is_shared: others may change the same rows at the same time, so those that are loaded are
                locked until the transaction ends.
        """
        return DirectSession(self)

    @classmethod
    def own_models(cls) -> frozenset[type[Model]]:
        """Return the models whose rows are its own: also those that they inherit from."""
        from rill_django.projections.rebuilding.tables import models_of

        known: frozenset[type[Model]] | None = vars(cls).get("_own_models")
        if known is None:
            found = models_of(cls())
            parents = (parent for model in found for parent in model._meta.get_parent_list())
            known = cls._own_models = frozenset((*found, *parents))
        return known

    @cached_property
    def keys_are_plain(self) -> bool:
        """Whether `keys_of` is the library's alone, and calls no functions of the projection's author."""
        return type(self).keys_of is Projection.keys_of

    def keys_of(self, event: RecordedEvent) -> tuple[str, ...]:
        """Return what the event is about, for parking and partitions: here, its stream.

        Events that have a key in common are applied in order, in the same partition; when one of
        them is parked, the others wait behind it.
        """
        return (event.stream,)

    def clear(self) -> None:
        """Delete all rows of the projection's models, without signals, and no rows of other models.

        Raises:
            IntegrityError: the database keeps a row of another model that refers to one of these. At
                once on MySQL and MariaDB; elsewhere when the transaction ends without such a row.
        """
        from rill_django.projections.rebuilding.clearing import clear_tables

        clear_tables(self)
