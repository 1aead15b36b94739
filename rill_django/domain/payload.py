"""From a function's parameters to the struct that its messages are made of."""

from __future__ import annotations

import inspect
import re
import sys
from collections.abc import Callable, Mapping
from typing import Any, NamedTuple, cast

import msgspec

from .constraints import Check, separate
from .errors import DefinitionError, InvalidMessage
from .messages import Message

_PATH = re.compile(r" - at `\$?\.?(?P<path>.*)`$")
_MISSING = re.compile(r"^Object missing required field `(?P<field>.+)`$")
_UNKNOWN = re.compile(r"^Object contains unknown field `(?P<field>.+)`$")


class Parameter(NamedTuple):
    """One field of a message: its name, type, and default (``msgspec.NODEFAULT``: required)."""

    name: str
    annotation: Any
    default: Any = msgspec.NODEFAULT


def parameters_of(function: Callable[..., Any], owner: type, where: str) -> tuple[Parameter, ...]:
    """Return the parameters of an event or command method, ``self`` left out.

    Raises:
        DefinitionError: a parameter has no annotation, an unreadable one, a mutable default, or
            is of a kind that a message cannot have.
    """
    found = []
    for parameter in list(_signature(function).parameters.values())[1:]:
        member = f"{where}: parameter {parameter.name!r}"
        if parameter.kind not in (parameter.POSITIONAL_OR_KEYWORD, parameter.KEYWORD_ONLY):
            raise DefinitionError(
                f"{member} is of a kind that a message cannot have. "
                "Write every field out as a parameter of its own."
            )
        if parameter.annotation is parameter.empty:
            raise DefinitionError(
                f"{member} has no type. Write one, e.g. {parameter.name}: str, "
                "since messages are checked and stored by it."
            )
        default = msgspec.NODEFAULT if parameter.default is parameter.empty else parameter.default
        if isinstance(default, (list, dict, set, bytearray)):
            raise DefinitionError(
                f"{member} has a mutable default, {default!r}. Use an immutable one, e.g. () or None."
            )
        annotation = resolve(parameter.annotation, function.__globals__, owner, member)
        found.append(Parameter(parameter.name, annotation, default))
    return tuple(found)


def _signature(function: Callable[..., Any]) -> inspect.Signature:
    if sys.version_info >= (3, 14):
        # Annotations are evaluated late there, and the class that they name may not be bound yet.
        from annotationlib import Format

        return inspect.signature(function, annotation_format=Format.FORWARDREF)
    return inspect.signature(function)


def resolve(annotation: Any, namespace: Mapping[str, Any], owner: type, where: str) -> Any:
    """Return the type that an annotation, maybe written as a string, stands for."""
    text = getattr(annotation, "__forward_arg__", annotation)
    if not isinstance(text, str):
        return annotation
    try:
        return eval(text, dict(namespace), {**vars(owner), owner.__name__: owner})
    except Exception as error:
        raise DefinitionError(
            f"{where} has the type {text!r}, which cannot be found ({error}). "
            "Import or define it above the class, at the module's top level."
        ) from error


class Payload(NamedTuple):
    """A struct with the checks that msgspec cannot make."""

    struct: type[Message]
    checks: tuple[tuple[str, Check], ...]
    unsafe_floats: bool
    """Whether a value may be a float, which JSON cannot hold when it is infinite or no number."""


def build_payload(
    name: str,
    parameters: tuple[Parameter, ...],
    base: type[Message],
    *,
    where: str,
    module: str,
    forbid_unknown_fields: bool = False,
) -> Payload:
    """Make the struct for a message type.

    Raises:
        DefinitionError: a type that cannot be checked or stored as JSON.
    """
    fields: list[Any] = []
    checks = []
    for parameter in parameters:
        kind, check = separate(parameter.annotation)
        fields.append((parameter.name, kind, parameter.default))
        if check is not None:
            checks.append((parameter.name, check))
    struct = msgspec.defstruct(
        name,
        [field[:2] if field[2] is msgspec.NODEFAULT else field for field in fields],
        bases=(base,),
        module=module,
        frozen=True,
        kw_only=True,
        forbid_unknown_fields=forbid_unknown_fields,
    )
    unsafe_floats = False
    for field in fields:
        try:
            # Decoder and type information refuse different things.
            msgspec.json.Decoder(field[1])
            kinds = list(_kinds(msgspec.inspect.type_info(field[1])))
        except TypeError as error:
            raise _unsupported(where, field[0], str(error)) from error
        for kind in kinds:
            if isinstance(kind, msgspec.inspect.CustomType):
                raise _unsupported(
                    where, field[0], f"{kind.cls!r} is not a type that JSON can hold"
                )
            if isinstance(kind, (msgspec.inspect.FloatType, msgspec.inspect.AnyType)):
                unsafe_floats = True
    return Payload(cast("type[Message]", struct), tuple(checks), unsafe_floats)


def _unsupported(where: str, parameter: str, why: str) -> DefinitionError:
    return DefinitionError(
        f"{where}: parameter {parameter!r} has an unsupported type: {why}. Use str, int, bool, "
        "Decimal, float, UUID, date, datetime, Enum, a msgspec.Struct or dataclass, or a list, "
        "tuple, dict or union of those."
    )


def _kinds(kind: Any, seen: set[int] | None = None) -> Any:
    """Yield a type and all types inside it."""
    seen = set() if seen is None else seen
    if id(kind) in seen or not isinstance(kind, (msgspec.inspect.Type, msgspec.inspect.Field)):
        return
    seen.add(id(kind))
    yield kind
    for name in kind.__struct_fields__:
        inside = getattr(kind, name)
        for one in inside if isinstance(inside, tuple) else (inside,):
            yield from _kinds(one, seen)


def convert(payload: Payload, type_name: str, values: Mapping[str, Any]) -> Any:
    """Return the checked message that ``values`` make.

    Raises:
        InvalidMessage: a value is of the wrong type, out of bounds, missing, or not known.
    """
    try:
        message = msgspec.convert(values, payload.struct)
    except msgspec.ValidationError as error:
        raise invalid(type_name, error) from None
    for field, check in payload.checks:
        wrong = check(getattr(message, field))
        if wrong is not None:
            raise InvalidMessage(type_name, field, wrong)
    return message


def invalid(type_name: str, error: Exception) -> InvalidMessage:
    """Translate msgspec's error into `InvalidMessage`, with the field's path."""
    text = str(error)
    match = _PATH.search(text)
    reason, field = (text[: match.start()], match["path"]) if match else (text, "")
    for pattern, complaint in (
        (_MISSING, "is required"),
        (_UNKNOWN, "is not a field of this message"),
    ):
        named = pattern.match(reason)
        if named:
            field = f"{field}.{named['field']}" if field else named["field"]
            reason = complaint
    return InvalidMessage(type_name, field, reason)
