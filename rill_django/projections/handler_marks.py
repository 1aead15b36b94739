"""`@on` and `@on_batch`: which method of a projection handles which events."""

from __future__ import annotations

import sys
from collections.abc import Callable, Collection, Mapping
from typing import Any, NamedTuple, ParamSpec, TypeVar, overload

from rill_django.domain.definitions import EventType
from rill_django.domain.errors import DefinitionError
from rill_django.domain.methods import refuse_what_never_runs
from rill_django.domain.payload_arguments import with_payload
from rill_django.domain.records import RecordedEvent
from rill_django.projections.handler_forms import BatchHandler, HandlerMark

H = TypeVar("H", bound=Callable[..., Any])
B = TypeVar("B", bound=BatchHandler)
P = ParamSpec("P")

_MARKS = "__rill_handles__"
_MARKED = "__rill_handlers__"


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

    event_type: EventType[Any, ...]
    options: KeyOptions
    is_batch: bool

    @property
    def type(self) -> str:
        """The event type's name."""
        return self.event_type.name


@overload
def on(
    type: EventType[Any, P],
    /,
    *types: EventType[Any, P],
    key: Any = None,
    keys: Callable[[RecordedEvent], Collection[Any] | None] | Collection[str] | None = None,
) -> HandlerMark[P]: ...
@overload
def on(  # Of events with different fields.
    type: EventType[Any, ...],
    second: EventType[Any, ...],
    /,
    *types: EventType[Any, ...],
    key: Any = None,
    keys: Callable[[RecordedEvent], Collection[Any] | None] | Collection[str] | None = None,
) -> HandlerMark[...]: ...
def on(
    *types: EventType[Any, ...],
    key: Any = None,
    keys: Callable[[RecordedEvent], Collection[Any] | None] | Collection[str] | None = None,
) -> Any:
    """Make a method of a projection the handler of these event types.

    It may take the events' fields as arguments, behind the event: all of them, in their order and under
    their names, of each of these types. Type checkers compare them with those of the event::

        @on(Account.withdrawn)
        def withdrawn(self, row: Balance, event: RecordedEvent, amount: Decimal) -> None:
            row.balance -= amount

    Where a field has a default, the argument needs one for type checkers. It is never used: an event that
    was stored before it had the field comes with the field's default. ``*_`` and ``**_`` take what is not
    wanted.

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


def on_batch(*types: EventType[Any, ...]) -> Callable[[B], B]:
    """Make a method of a `Projection` the handler of these event types, several events at a time.

    It gets a list of consecutive events: as many of a batch as no other handler wants one in between, so
    that order is kept, and so few that the call takes a part of ``RILL["BATCH_SECONDS"]``. One method for
    all types gets the longest lists::

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
    marks = tuple(_Mark(one, options, is_batch) for one in types)

    def mark(handler: H) -> H:
        _refuse_no_method(name, handler)
        setattr(handler, _MARKS, (*getattr(handler, _MARKS, ()), *marks))
        frame = sys._getframe(1)
        body = frame.f_locals
        if "__qualname__" in body and "__module__" in body:  # That of a class.
            body.setdefault(_MARKED, []).append(handler)
        elif body is frame.f_globals and not _takes_self(handler):
            raise DefinitionError(
                f"{name} stands above {handler.__name__}, which is in no class: nothing would call it. It "
                "marks methods of a projection: class Balances(RowProjection) or class Audit(Projection). "
                "For an effect after the commit, write @after_commit."
            )
        return handler

    return mark


def _takes_self(function: Any) -> bool:
    code = getattr(function, "__code__", None)
    return code is None or code.co_varnames[:1] == ("self",)


def _refuse_no_method(name: str, handler: Any) -> None:
    """Raise `DefinitionError` for what does nothing when it is called as a method."""
    called = getattr(handler, "__qualname__", repr(handler))
    if isinstance(handler, (staticmethod, classmethod)) or not callable(handler):
        raise DefinitionError(
            f"{name} takes a plain method; {called} is a {type(handler).__name__}. Take the other decorator "
            "away."
        )
    refuse_what_never_runs(handler, name)


class Handlers(NamedTuple):
    """What a projection does with events.

    Attributes:
        by_type: handlers, by event type name.
        options: what single handlers say about rows, by event type name.
        batch: those that get several events at a time.
    """

    by_type: Mapping[str, Callable[..., Any]]
    options: Mapping[str, KeyOptions]
    batch: frozenset[Callable[..., Any]]


class _Handler(NamedTuple):
    """What handles an event type: the name of the method, how it is marked, and what is called."""

    name: str
    mark: _Mark
    function: Callable[..., Any]


def handlers_of(cls: type, given: tuple[str, ...]) -> Handlers:
    """Collect the handlers of a class and of all that it inherits from, as Python finds methods.

    A method that overrides a handler, and is not marked itself, takes its place; ``None`` removes it.

    Args:
        cls: a projection.
        given: what its handlers get, in words; the last is the event.

    Raises:
        DefinitionError: two handle one type, one would never be called, or it takes other arguments.
    """
    found: dict[str, _Handler] = {}
    for base in reversed(cls.__mro__):
        overridden = {one.name for one in found.values()}
        for name, value in vars(base).items():
            if name in overridden and not getattr(value, _MARKS, ()):
                _override(found, base, name, value)
        found |= _marked_in(base)
    where = f"{cls.__module__}.{cls.__qualname__}"
    return Handlers(
        {type: _called(one, given, where) for type, one in found.items()},
        {type: one.mark.options for type, one in found.items() if one.mark.options != KeyOptions()},
        frozenset(one.function for one in found.values() if one.mark.is_batch),
    )


def _called(handler: _Handler, given: tuple[str, ...], where: str) -> Callable[..., Any]:
    if handler.mark.is_batch:
        return handler.function
    who = f"{where}: the handler {handler.name}"
    return with_payload(handler.function, handler.mark.event_type, given, who)


def _override(found: dict[str, _Handler], cls: type, name: str, value: Any) -> None:
    """Put what is called the same in a subclass in a handler's place."""
    if value is not None:
        _refuse_no_method(f"{cls.__module__}.{cls.__qualname__} overrides a handler", value)
    for type in [type for type, one in found.items() if one.name == name]:
        if value is None:
            del found[type]
        else:
            found[type] = found[type]._replace(function=value)


def _marked_in(cls: type) -> dict[str, _Handler]:
    """Return the handlers in a class's own body, by event type name."""
    where = f"{cls.__module__}.{cls.__qualname__}"
    own: dict[str, _Handler] = {}
    for name, function in vars(cls).items():
        marks: tuple[_Mark, ...] = getattr(function, _MARKS, ())
        if len({mark.is_batch for mark in marks}) > 1:
            raise DefinitionError(
                f"{where}: {name} is marked with both @on and @on_batch. Make two methods of it."
            )
        for mark in marks:
            if mark.type in own:
                raise DefinitionError(
                    f"{where}: both {own[mark.type].name} and {name} handle {mark.type}. Make one of them."
                )
            own[mark.type] = _Handler(name, mark, function)
    for function in vars(cls).get(_MARKED, ()):
        _refuse_lost(cls, function)
    return own


def _refuse_lost(cls: type, function: Callable[..., Any]) -> None:
    """Raise `DefinitionError` for a handler whose name somebody else in the class's body has taken.

    It may have been wrapped, by something that is marked as it is.
    """
    marks = getattr(function, _MARKS)
    directly = vars(cls)[_MARKED]
    for one in vars(cls).values():
        wraps = one not in directly and all(mark in getattr(one, _MARKS, ()) for mark in marks)
        if one is function or wraps:
            return
    raise DefinitionError(
        f"{cls.__module__}.{cls.__qualname__}: the handler {function.__name__} of "
        f"{', '.join(mark.type for mark in marks)} is replaced by another attribute of the same name, and "
        "would never be called. Give each a name of its own."
    )
