"""From a function's parameters to the struct that its messages are made of, and values into it."""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from datetime import date, datetime, time, timedelta
from decimal import Decimal
from typing import Any, cast
from uuid import UUID

import msgspec
from msgspec.structs import force_setattr

from .constraints import Check, separate
from .errors import DefinitionError, InvalidMessage
from .frozen import frozen
from .json_texts import MOST_LEVELS, TOO_DEEP, levels_of
from .kinds import Kind
from .messages import Message, plain_scalar
from .parameters import Parameter
from .precision import lost_digits
from .storable import Unstorable, place_in

_PATH = re.compile(r" - at (?:`key` in )?`\$?\.?(?P<path>[^`]*)`$")
_MISSING = re.compile(r"^Object missing required field `(?P<field>.+)`$")
_UNKNOWN = re.compile(r"^Object contains unknown field `(?P<field>.+)`$")
_SCALARS = (date, datetime, time, timedelta, Decimal, UUID, bytes)
_PLAIN = frozenset((type(None), bool, int, float, str, *_SCALARS))
_MAY_HOLD_FLOATS = frozenset((float, list, tuple, dict))
_LARGE_FLOAT = re.compile(rb"\de\d")

_encoder = msgspec.json.Encoder(enc_hook=plain_scalar)
_written_out = msgspec.json.Decoder(float_hook=lambda text: msgspec.Raw(_without_exponent(text)))


class Payload:
    """The struct of a message type, and the way of its values into it, into JSON, and back.

    Attributes:
        struct: what messages are made of.
        decode: JSON bytes to message, with its containers frozen; raises `msgspec.MsgspecError`.
    """

    def __init__(
        self, struct: type[Message], kinds: Mapping[str, Kind], checks: Mapping[str, Check]
    ) -> None:
        self.struct = struct
        self._checks = tuple(checks.items())
        self._settle = tuple((name, one.settle) for name, one in kinds.items() if one.settle)
        self._decimals = tuple(
            (name, one.type) for name, one in kinds.items() if one.holds_decimals
        )
        self._freeze = tuple((name, one.freeze) for name, one in kinds.items() if one.freeze)
        self._holds_floats = any(one.holds_floats for one in kinds.values())
        self._needs_json = any(one.needs_json for one in kinds.values())
        self._may_be_deep = any(one.levels >= MOST_LEVELS for one in kinds.values())
        self._has_code = any(one.has_code for one in kinds.values())
        self._decoder = msgspec.json.Decoder(struct)
        self.decode: Callable[[bytes], Any] = (
            _frozen_decoder(self._decoder.decode, self._freeze)
            if self._freeze
            else self._decoder.decode
        )

    def convert(self, type_name: str, values: Mapping[str, Any]) -> Any:
        """Return the checked message that ``values`` make, as it will come back from the log.

        Raises:
            InvalidMessage: a value is of the wrong type, out of bounds, missing, not known, or
                cannot be kept without loss.
        """
        given = values
        try:
            unstorable: InvalidMessage | None = None
            # What is plain already would be copied only, by the call that costs most here.
            if not _PLAIN.issuperset(map(type, values.values())):
                try:
                    values = plain_values(values, in_one_order=self._needs_json)
                except (TypeError, ValueError, RecursionError) as error:
                    unstorable = self._unstorable(type_name, values, error)
            for field, kind in self._decimals:
                value = values.get(field)
                if type(value) in _MAY_HOLD_FLOATS and (lost := lost_digits(kind, value)):
                    raise InvalidMessage(type_name, field + lost.path, lost.reason)
            try:
                message = msgspec.convert(values, self.struct, str_keys=True)
            except msgspec.ValidationError as error:
                raise invalid(type_name, error) from None
            except RecursionError:
                raise self._too_deep(type_name, values) from None
            if unstorable:  # Second, since msgspec's own error names the field.
                raise unstorable
            return self.settled(type_name, message)
        except InvalidMessage as error:
            error.given = given
            raise

    def settled(self, type_name: str, message: Any) -> Any:
        """Return a message of this struct as it will come back from the log.

        Raises:
            InvalidMessage: see `convert`.
        """
        for field, settle in self._settle:
            value = getattr(message, field)
            try:
                new = settle(value)
            except Unstorable as error:
                raise InvalidMessage(type_name, field + place_in(value), str(error)) from None
            if new is not value:
                force_setattr(message, field, new)
        for field, check in self._checks:
            wrong = check(getattr(message, field))
            if wrong is not None:
                raise InvalidMessage(type_name, field + wrong.path, wrong.reason)
        if self._needs_json:
            message = self._through_json(type_name, message)
        if self._may_be_deep and levels_of(self.encode(message)) > MOST_LEVELS:
            raise self._too_deep(type_name, self._values(message))
        return message

    def encode(self, message: Message) -> bytes:
        """Return the JSON of a message, in a form that every database gives back as it is.

        Raises:
            TypeError, ValueError: there is none; messages that `convert` has made have one.
        """
        data = _encoder.encode(message)
        return written_out(data) if self._holds_floats else data

    def _through_json(self, type_name: str, message: Message) -> Any:
        fields = self.struct.__struct_fields__
        try:
            data = self.encode(message)
            again = self.decode(data)
            if not self._has_code or self.encode(again) == data:
                return again
        except (TypeError, ValueError, RecursionError) as error:
            raise self._unstorable(type_name, self._values(message), error) from None
        other = next(
            name
            for name in fields
            if _encoder.encode(getattr(again, name)) != _encoder.encode(getattr(message, name))
        )
        raise InvalidMessage(type_name, other, "comes back from JSON as something else")

    def _values(self, message: Message) -> dict[str, Any]:
        return {name: getattr(message, name) for name in self.struct.__struct_fields__}

    def _too_deep(self, type_name: str, values: Mapping[str, Any]) -> InvalidMessage:
        field = ""
        for name, value in values.items():
            try:
                if levels_of(_encoder.encode([value])) > MOST_LEVELS:
                    field = name
                    break
            except (TypeError, ValueError):
                continue
            except RecursionError:
                field = name
                break
        return InvalidMessage(type_name, field, f"cannot be stored as JSON: {TOO_DEEP}")

    def _unstorable(
        self, type_name: str, values: Mapping[str, Any], error: Exception
    ) -> InvalidMessage:
        if isinstance(error, RecursionError):
            return self._too_deep(type_name, values)
        field = ""
        for name, value in values.items():
            try:
                _encoder.encode(plain_values(value, in_one_order=self._needs_json))
            except (TypeError, ValueError, RecursionError):
                field = name
                break
        return InvalidMessage(type_name, field, f"cannot be stored as JSON: {error}")


def _frozen_decoder(
    decode: Callable[[bytes], Any], plan: tuple[tuple[str, Callable[[Any], Any]], ...]
) -> Callable[[bytes], Any]:
    """Return what decodes a message and freezes these fields of it. Whole logs come by here."""

    def decode_frozen(data: bytes) -> Any:
        message = decode(data)
        for field, freeze in plan:
            force_setattr(message, field, freeze(getattr(message, field)))
        return message

    return decode_frozen


def written_out(data: bytes) -> bytes:
    """Return JSON with its large floats written out: ``1e22`` would be an integer in jsonb."""
    if _LARGE_FLOAT.search(data) is None:
        return data
    return msgspec.json.encode(_written_out.decode(data))


def _without_exponent(text: str) -> bytes:
    if "e" not in text or "e-" in text:
        return text.encode()
    plain = f"{Decimal(text):f}"
    return (plain if "." in plain else f"{plain}.0").encode()


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
    kinds: dict[str, Kind] = {}
    checks: dict[str, Check] = {}
    for parameter in parameters:
        annotation, check = separate(parameter.annotation)
        kind = Kind(annotation, parameter.name, where)
        kinds[parameter.name] = kind
        if check is not None:
            checks[parameter.name] = check
        if parameter.default is msgspec.NODEFAULT:
            fields.append((parameter.name, annotation))
        else:
            default = _checked_default(parameter, annotation, kind, check, where)
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
    return Payload(cast("type[Message]", struct), kinds, checks)


def _checked_default(
    parameter: Parameter, annotation: Any, kind: Kind, check: Check | None, where: str
) -> Any:
    """Return a default as it will come back from the log.

    msgspec checks no defaults, so a wrong one would be stored and could not be read again.
    """
    name = parameter.name
    alone = msgspec.defstruct("Default", [(name, annotation)], bases=(Message,), frozen=True)
    checks = {} if check is None else {name: check}
    payload = Payload(cast("type[Message]", alone), {name: kind}, checks)
    try:
        return getattr(payload.convert("", {name: parameter.default}), name)
    except InvalidMessage as error:
        raise DefinitionError(
            f"{where}: parameter {name!r} has the default {parameter.default!r}, which its "
            f"type does not allow: {error.reason}. Change the default, or the type, e.g. to … | None."
        ) from None


def plain_values(values: Any, *, in_one_order: bool = False) -> Any:
    """Return values without structs, dataclasses and subclasses of str and float.

    msgspec takes the instance of a struct for granted; as a dict, its inside is checked as well.

    Args:
        values: whatever was given.
        in_one_order: put the items of sets into one order, before nobody knows that they were sets.
    """
    if in_one_order:
        try:
            return msgspec.to_builtins(
                values, builtin_types=_SCALARS, enc_hook=plain_scalar, order="deterministic"
            )
        except TypeError:  # Not all kinds of items can be compared.
            values = frozen(values, ordered=True)
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
