"""Projections with free handlers, and what all projections have in common."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from enum import Enum
from typing import Any, ClassVar, TypeVar

from django.db import models, router

from rill_django.domain.definitions import EventType
from rill_django.domain.errors import DefinitionError, RillError
from rill_django.domain.names import app_label_of
from rill_django.domain.records import RecordedEvent
from rill_django.projections.registry import current_projections

H = TypeVar("H", bound=Callable[..., Any])

_EVENT_TYPES = "__rill_event_types__"


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


def on(*types: EventType[Any, ...]) -> Callable[[H], H]:
    """Make a method of a projection the handler of these event types.

    Raises:
        DefinitionError: something else than event types was given.
    """
    if not types or not all(isinstance(one, EventType) for one in types):
        raise DefinitionError(
            f"@on takes event types of aggregates, e.g. @on(Account.opened); got {types!r}"
        )

    def mark(handler: H) -> H:
        setattr(handler, _EVENT_TYPES, (*getattr(handler, _EVENT_TYPES, ()), *types))
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
        handlers: handlers by event type name, made from the methods marked with ``@on``.
    """

    name: ClassVar[str]
    version: ClassVar[int] = 1
    models: ClassVar[tuple[type[models.Model], ...]] = ()
    on_error: ClassVar[OnError] = STOP
    partitions: ClassVar[int] = 1
    handlers: ClassVar[Mapping[str, Callable[..., Any]]] = {}

    def __init_subclass__(cls, **options: Any) -> None:
        super().__init_subclass__(**options)
        own: dict[str, Callable[..., Any]] = {}
        for function in vars(cls).values():
            for event_type in getattr(function, _EVENT_TYPES, ()):
                if event_type.name in own:
                    raise DefinitionError(
                        f"{cls.__module__}.{cls.__qualname__}: both {own[event_type.name].__name__} "
                        f"and {function.__name__} handle {event_type.name}. Make one of them."
                    )
                own[event_type.name] = function
        cls.handlers = {**cls.handlers, **own}
        if "name" not in vars(cls):
            cls.name = f"{app_label_of(cls.__module__)}.{cls.__name__}"
        if cls.handlers:
            cls.check_definition()
            current_projections().add(cls)

    @classmethod
    def check_definition(cls) -> None:
        """Raise `DefinitionError` if the projection cannot work."""
        if not cls.models:
            raise DefinitionError(
                f"{cls.__module__}.{cls.__qualname__} does not say which models it writes to. "
                "Write e.g. models = (Balance,), so that it can be rebuilt."
            )

    @property
    def using(self) -> str:
        """Alias of the database that the projection and its checkpoint are written to."""
        return router.db_for_write(self.models[0])

    def apply(self, events: Sequence[RecordedEvent]) -> None:
        """Apply events of the log, inside the transaction that also moves the checkpoint.

        Raises:
            HandlerFailed: a handler raised an exception.
        """
        for event in events:
            handler = self.handlers.get(event.type)
            if handler is not None:
                with self.handling(event):
                    handler(self, event)

    @contextmanager
    def handling(self, event: RecordedEvent) -> Iterator[None]:
        """Name the event in whatever is raised inside."""
        try:
            yield
        except Exception as error:
            raise HandlerFailed(self.name, event, error) from error

    def keys_of(self, event: RecordedEvent) -> tuple[str, ...]:
        """Return what the event is about, for parking and partitions: here, its stream.

        Events that have a key in common are applied in order, in the same partition; when one of
        them is parked, the others wait behind it.
        """
        return (event.stream,)

    def clear(self) -> None:
        """Delete all rows of the projection's models."""
        for model in reversed(self.models):
            model._base_manager.using(self.using).all().delete()
