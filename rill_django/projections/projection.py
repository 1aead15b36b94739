"""Projections with free handlers, and what all projections have in common."""

from __future__ import annotations

from collections.abc import Callable, Collection, Mapping, Sequence
from enum import Enum
from itertools import groupby
from typing import Any, ClassVar, NamedTuple, TypeVar

from django.db import models, router

from rill_django.domain.definitions import EventType
from rill_django.domain.errors import DefinitionError, RillError
from rill_django.domain.names import app_label_of
from rill_django.domain.records import RecordedEvent
from rill_django.projections.registry import current_projections
from rill_django.projections.sessions import ROWS_IN_MEMORY, DirectSession, Session

H = TypeVar("H", bound=Callable[..., Any])

_MARKS = "__rill_handles__"


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
        event: the event it was given.
    """

    def __init__(self, projection: str, event: RecordedEvent, cause: Exception) -> None:
        self.event = event
        super().__init__(
            f"{projection} failed on {event.identity} ({event.type}, position {event.position}): "
            f"{type(cause).__name__}: {cause}"
        )


class KeyOptions(NamedTuple):
    """Which rows an event changes, as it is written: see `RowProjection`."""

    key: Any = None
    keys: Callable[[RecordedEvent], Collection[Any] | None] | Collection[str] | None = None

    @property
    def names(self) -> tuple[str, ...]:
        """The names of fields that ``key`` consists of; none if it is a function."""
        if self.key is None or callable(self.key):
            return ()
        return (self.key,) if isinstance(self.key, str) else tuple(self.key)


class _Mark(NamedTuple):
    """What a handler is marked with, for one event type."""

    type: str
    options: KeyOptions
    is_batch: bool


def on(
    *types: EventType[Any, ...],
    key: Any = None,
    keys: Callable[[RecordedEvent], Collection[Any] | None] | Collection[str] | None = None,
) -> Callable[[H], H]:
    """Make a method of a projection the handler of these event types.

    Args:
        key: for a `RowProjection`: which row these events change, in place of the projection's own
            ``key``. A name, or tuple of names, of the event's fields with the values; or a function.
        keys: for a `RowProjection`: which rows these events change. A function of the event that returns
            any number of keys, or the names of the event's fields that have one each. The handler is
            called once for each.

    Raises:
        DefinitionError: something else than event types was given, or both ``key`` and ``keys``.
    """
    if key is not None and keys is not None:
        raise DefinitionError("@on takes key= for one row or keys= for several; got both.")
    if isinstance(keys, str):
        raise DefinitionError(f"@on: keys= takes a function or a tuple of names; got {keys!r}.")
    return _marker("@on", types, KeyOptions(key, keys), is_batch=False)


def on_batch(*types: EventType[Any, ...]) -> Callable[[H], H]:
    """Make a method of a `Projection` the handler of these event types, several events at a time.

    It gets a list of consecutive events: as many of a batch as no other handler wants one in between, so
    that order is kept. One method for all types gets all of a batch::

        @on_batch(Account.opened, Account.closed)
        def happened(self, events):
            AuditLine.objects.bulk_create(AuditLine(text=event.identity) for event in events)

    Raises:
        DefinitionError: something else than event types was given.
    """
    return _marker("@on_batch", types, KeyOptions(), is_batch=True)


def _marker(
    name: str, types: tuple[Any, ...], options: KeyOptions, *, is_batch: bool
) -> Callable[[H], H]:
    if not types or not all(isinstance(one, EventType) for one in types):
        raise DefinitionError(
            f"{name} takes event types of aggregates, e.g. {name}(Account.opened); got {types!r}"
        )
    marks = tuple(_Mark(one.name, options, is_batch) for one in types)

    def mark(handler: H) -> H:
        setattr(handler, _MARKS, (*getattr(handler, _MARKS, ()), *marks))
        return handler

    return mark


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
    models: ClassVar[tuple[type[models.Model], ...]] = ()
    on_error: ClassVar[OnError] = STOP
    partitions: ClassVar[int] = 1
    inline: ClassVar[bool] = False
    rejections: ClassVar[Mapping[str | tuple[str, ...], str]] = {}
    handlers: ClassVar[Mapping[str, Callable[..., Any]]] = {}
    key_overrides: ClassVar[Mapping[str, KeyOptions]] = {}
    batch_handlers: ClassVar[frozenset[Callable[..., Any]]] = frozenset()

    def __init_subclass__(cls, **options: Any) -> None:
        super().__init_subclass__(**options)
        own: dict[str, Callable[..., Any]] = {}
        marks: list[_Mark] = []
        for function in vars(cls).values():
            for mark in getattr(function, _MARKS, ()):
                if mark.type in own:
                    raise DefinitionError(
                        f"{cls.__module__}.{cls.__qualname__}: both {own[mark.type].__name__} "
                        f"and {function.__name__} handle {mark.type}. Make one of them."
                    )
                own[mark.type] = function
                marks.append(mark)
        cls.handlers = {**cls.handlers, **own}
        inherited = {type: one for type, one in cls.key_overrides.items() if type not in own}
        cls.key_overrides = inherited | {
            mark.type: mark.options for mark in marks if mark.options != KeyOptions()
        }
        cls.batch_handlers |= {own[mark.type] for mark in marks if mark.is_batch}
        if "name" not in vars(cls):
            cls.name = f"{app_label_of(cls.__module__)}.{cls.__name__}"
        if cls.handlers:
            cls.check_definition()
            cls._check_inline()
            current_projections().add(cls)

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
    def check_definition(cls) -> None:
        """Raise `DefinitionError` if the projection cannot work."""
        if not cls.models:
            raise DefinitionError(
                f"{cls.__module__}.{cls.__qualname__} does not say which models it writes to. "
                "Write e.g. models = (Balance,), so that it can be rebuilt."
            )
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
        handlers = self.handlers
        wanted = [event for event in events if event.type in handlers]
        if not self.batch_handlers:
            for event in wanted:
                self._handle(handlers[event.type], event, event)
            return
        for handler, group in groupby(wanted, key=lambda event: handlers[event.type]):
            if handler not in self.batch_handlers:
                for event in group:
                    self._handle(handler, event, event)
            elif len(together := list(group)) > 1:
                handler(self, together)
            else:
                self._handle(handler, together, together[0])

    def _handle(self, handler: Callable[..., Any], given: Any, event: RecordedEvent) -> None:
        """Call a handler, and name the event in whatever it raises."""
        try:
            handler(self, given)
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
