"""Payloads as arguments: ``def withdrawn(self, row, event, amount)``.

What handles an event may take the event's own fields behind it, all of them, under their names. How it is
called is worked out once, when it is defined; what takes none is called as it is.
"""

from __future__ import annotations

import inspect
from collections.abc import Callable, Iterator
from difflib import get_close_matches
from functools import wraps
from typing import Any, NamedTuple, cast

import msgspec

from .annotations import cannot_be
from .definitions import EventType
from .errors import DefinitionError
from .parameters import resolve, signature_of

Function = Callable[..., Any]


class _Field(NamedTuple):
    """Stands for a field's value, to see which parameter takes it."""

    name: str


def with_payload(
    function: Function, event_type: EventType[Any, ...], given: tuple[str, ...], where: str
) -> Function:
    """Return what is called with ``given`` alone, and passes the event's fields on if they are taken.

    Args:
        function: what handles events of this type.
        given: what all such functions get, in words; the last is the event.
        where: which one it is, for errors.

    Raises:
        DefinitionError: it takes other arguments, or fields of other types.
    """
    signature = signature_given(function)
    if signature is None or _wants_no_fields(signature, event_type, given):
        return function
    complaint = _complaint(signature, event_type, given, function)
    if complaint:
        define = f"def {getattr(function, '__name__', 'handler')}"
        cure = f"Write: {define}({', '.join(given)})"
        if event_type.fields:
            every = ", ".join((*given, *_fields(event_type)))
            cure += f"; or, with all fields of {event_type.name}: {define}({every})"
        raise DefinitionError(f"{where} {complaint}. {cure}")
    return _passing_on(function, event_type, len(given))


def signature_given(function: Function) -> inspect.Signature | None:
    """Return what a function takes, seen through wrappers that pass on all they get; ``None``: unknown."""
    while True:
        try:
            signature = signature_of(function, follow_wrapped=False)
        except (TypeError, ValueError):
            return None
        inner = getattr(function, "__wrapped__", None)
        kinds = {one.kind for one in signature.parameters.values()}
        if inner is None or inspect.Parameter.VAR_POSITIONAL not in kinds:
            return signature
        function = inner


def annotation_of(parameter: inspect.Parameter, function: Function) -> Any:
    """Return the type that a parameter is annotated with, ``Any`` if that is unknown."""
    if parameter.annotation is parameter.empty:
        return Any
    namespace = getattr(inspect.unwrap(function), "__globals__", {})
    try:
        return resolve(parameter.annotation, namespace, object, "")
    except DefinitionError:  # Maybe imported for type checkers only, which look at it then.
        return Any


def _wants_no_fields(
    signature: inspect.Signature, event_type: EventType[Any, ...], given: tuple[str, ...]
) -> bool:
    """Whether what is given is enough, and further parameters have nothing to do with the event."""
    try:
        bound = signature.bind(*given).arguments
    except TypeError:
        return False
    others = (name for name in signature.parameters if name not in bound)
    return not any(get_close_matches(name, event_type.fields) for name in others)


def _complaint(
    signature: inspect.Signature,
    event_type: EventType[Any, ...],
    given: tuple[str, ...],
    function: Function,
) -> str:
    """Say why a function does not take all fields; empty if it does."""
    by_place, by_name = _parted([_Field(name) for name in event_type.fields], event_type)
    try:
        bound = signature.bind(*given, *by_place, **{one.name: one for one in by_name}).arguments
    except TypeError:
        gets = " and the ".join(name for name in given if name != "self")
        return f"takes {signature}, and is called with the {gets}"
    types = {one.name: one.type for one in msgspec.structs.fields(event_type.payload.struct)}
    for name, field in bound.items():
        if not isinstance(field, _Field):
            continue
        parameter = signature.parameters[name]
        if name != field.name and parameter.kind is not parameter.POSITIONAL_ONLY:
            return f"takes {name!r} where the event has {field.name!r}"
        annotation = annotation_of(parameter, function)
        if cannot_be(types[field.name], annotation):
            return f"takes {name!r} as {_shown(annotation)}; it is {_shown(types[field.name])}"
    return ""


def _parted(values: list[Any], event_type: EventType[Any, ...]) -> tuple[list[Any], list[Any]]:
    """Divide what belongs to the fields into what is passed by position, and by name only."""
    border = len(values) - event_type.keyword_only
    return values[:border], values[border:]


def _fields(event_type: EventType[Any, ...]) -> Iterator[str]:
    """Yield the fields as they are written behind the event."""
    defaults = {
        one.name: f"{one.name}={one.default!r}"
        for one in msgspec.structs.fields(event_type.payload.struct)
        if one.default is not msgspec.NODEFAULT
    }
    by_place, by_name = _parted(
        [defaults.get(name, name) for name in event_type.fields], event_type
    )
    yield from by_place
    if by_name:
        yield from ("*", *by_name)


def _shown(annotation: Any) -> str:
    has_name = isinstance(annotation, type) or hasattr(annotation, "__supertype__")
    return str(annotation.__name__ if has_name else annotation)


def _passing_on(function: Function, event_type: EventType[Any, ...], given: int) -> Function:
    """Return a function that reads the fields from the event, which is the last of what is given.

    It is written as one would by hand: passing on ``*given`` takes longer than many a handler.
    """
    names = [f"given{place}" for place in range(given)]
    by_place, by_name = _parted([*event_type.fields], event_type)
    passed = [
        *names,
        *(f"message.{name}" for name in by_place),
        *(f"{name}=message.{name}" for name in by_name),
    ]
    source = (
        f"def call({', '.join(names)}):\n"
        f"    message = {names[-1]}.message\n"
        f"    return function({', '.join(passed)})\n"
    )
    namespace = {"__name__": __name__, "function": function}
    exec(compile(source, f"<{__name__}>", "exec"), namespace)
    return wraps(function)(cast("Function", namespace["call"]))
