"""From a function's parameters to the struct that its messages are made of."""

from __future__ import annotations

import inspect
import re
import sys
from collections.abc import Callable, Mapping
from datetime import date, datetime, time, timedelta
from decimal import Decimal
from typing import Any, NamedTuple, cast
from uuid import UUID

import msgspec

from .constraints import Check, separate
from .errors import DefinitionError, InvalidMessage
from .messages import Message, plain_scalar

_PATH = re.compile(r" - at (?:`key` in )?`\$?\.?(?P<path>[^`]*)`$")
_MISSING = re.compile(r"^Object missing required field `(?P<field>.+)`$")
_UNKNOWN = re.compile(r"^Object contains unknown field `(?P<field>.+)`$")
_SCALARS = (date, datetime, time, timedelta, Decimal, UUID, bytes)


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
    parameters = list(_signature(function).parameters.values())
    if not parameters:
        raise DefinitionError(f"{where} takes no self. Write: def {function.__name__}(self, …)")
    for parameter in parameters[1:]:
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
    unsafe_floats = False
    for parameter in parameters:
        annotation, check = separate(parameter.annotation)
        if check is not None:
            checks.append((parameter.name, check))
        for kind in _supported_kinds(annotation, parameter.name, where):
            if isinstance(kind, (msgspec.inspect.FloatType, msgspec.inspect.AnyType)):
                unsafe_floats = True
        if parameter.default is msgspec.NODEFAULT:
            fields.append((parameter.name, annotation))
        else:
            default = _checked_default(parameter, annotation, check, where)
            fields.append((parameter.name, annotation, default))
    struct = msgspec.defstruct(
        name,
        fields,
        bases=(base,),
        module=module,
        frozen=True,
        kw_only=True,
        forbid_unknown_fields=forbid_unknown_fields,
    )
    return Payload(cast("type[Message]", struct), tuple(checks), unsafe_floats)


def _supported_kinds(annotation: Any, parameter: str, where: str) -> list[Any]:
    """Return the type and all types inside it."""
    try:
        # Decoder and type information refuse different things.
        msgspec.json.Decoder(annotation)
        kinds = list(_kinds(msgspec.inspect.type_info(annotation)))
    except TypeError as error:
        raise _unsupported(where, parameter, str(error)) from error
    for kind in kinds:
        if isinstance(kind, msgspec.inspect.CustomType):
            raise _unsupported(where, parameter, f"{kind.cls!r} is not a type that JSON can hold")
        if isinstance(kind, msgspec.inspect.StructType) and hasattr(kind.cls, "key_names"):
            raise _unsupported(
                where,
                parameter,
                f"{kind.cls.__name__} is an aggregate, which messages refer to by its key properties",
            )
    return kinds


def _checked_default(parameter: Parameter, annotation: Any, check: Check | None, where: str) -> Any:
    """Return a default in the form that its type wants.

    msgspec checks no defaults, so a wrong one would be stored and could not be read again.
    """

    def make() -> Any:
        return msgspec.convert(_plain(parameter.default), annotation, str_keys=True)

    try:
        default = make()
    except (msgspec.ValidationError, TypeError) as error:
        why = str(error)
    else:
        wrong = check(default) if check else None
        if wrong is None:
            mutable = isinstance(default, (list, dict, set))
            return msgspec.field(default_factory=make) if mutable else default
        why = wrong.reason
    raise DefinitionError(
        f"{where}: parameter {parameter.name!r} has the default {parameter.default!r}, which its "
        f"type does not allow: {why}. Change the default, or the type, e.g. to … | None."
    )


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
    unstorable = ""
    try:
        values = _plain(values)
    except (TypeError, ValueError, RecursionError) as error:
        unstorable = str(error)
    try:
        message = msgspec.convert(values, payload.struct, str_keys=True)
    except msgspec.ValidationError as error:
        raise invalid(type_name, error) from None
    if unstorable:  # Second, since msgspec's own error names the field.
        raise InvalidMessage(type_name, "", f"cannot be stored as JSON: {unstorable}")
    for field, check in payload.checks:
        wrong = check(getattr(message, field))
        if wrong is not None:
            raise InvalidMessage(type_name, field + wrong.path, wrong.reason)
    return message


def _plain(values: Any) -> Any:
    """Return values without structs, dataclasses and subclasses of str and float.

    msgspec takes the instance of a struct for granted; as a dict, its inside is checked as well.
    """
    return msgspec.to_builtins(values, builtin_types=_SCALARS, enc_hook=plain_scalar)


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
