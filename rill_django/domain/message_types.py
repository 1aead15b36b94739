"""What event and command types have in common."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from functools import update_wrapper
from types import FunctionType
from typing import TYPE_CHECKING, Any, Generic, overload

import msgspec
from typing_extensions import ParamSpec, Self, TypeVar

from .conditions import Conditions, conditions_of, refuse_other_arguments
from .errors import DefinitionError, InvalidMessage, Misuse
from .fields import reader_of
from .json_texts import WrongText, culprit_in, members_of
from .messages import EventMessage, Message
from .methods import refuse_what_never_runs
from .misuse import attach_refusals, called_on_the_class
from .names import refuse_type_name
from .parameters import Parameter, parameters_of
from .payload import Payload, build_payload, invalid
from .signatures import OneKey, SomeKeys, ThreeKeys, TwoKeys
from .tracebacks import shorten

if TYPE_CHECKING:
    from .aggregates import Aggregate

A = TypeVar("A", default=Any)
P = ParamSpec("P", default=...)
M = TypeVar("M", bound=Message, default=Any)
Keys = TypeVar("Keys", covariant=True, default=Any)
Key1 = TypeVar("Key1")
Key2 = TypeVar("Key2")
Key3 = TypeVar("Key3")

RESERVED = frozenset((*(one for one in dir(EventMessage) if one[:2] != "__"), "definition"))
"""Names that every message has already."""


class MessageType(Generic[A, P, M, Keys]):
    """What event and command types share: a name, fields, and messages of that form.

    For type checkers it is generic in its aggregate, its parameters, its messages, and the keys.

    Attributes:
        name: full stable name, e.g. ``bank.Account.opened``.
        short_name: the method's name.
        aggregate: the aggregate type it belongs to.
        keys: names of the aggregate's key properties, merged into every message.
        fields: names of the message's own fields.
        keyword_only: how many of the fields, the last ones, are given by name only.
        payload: the struct of its messages.
    """

    decorator: str
    message_base: type[Message]
    forbid_unknown_fields: bool
    reserved: frozenset[str] = RESERVED

    name: str
    short_name: str
    aggregate: type[Aggregate]
    keys: tuple[str, ...]
    fields: tuple[str, ...]
    keyword_only: int
    payload: Payload
    _arguments: Callable[[Any], tuple[Any, ...]]
    _keys_of: Callable[[Any], tuple[Any, ...]]
    _required: tuple[str, ...]
    _conditions: Conditions
    _called: Callable[..., Any]
    """What a call on an aggregate calls; that of an abstract class, by ``super()``, the plain method."""

    do_not_call_in_templates = True
    """Django's templates call what can be called, and a call is only there to say what to write."""

    def __init__(self, function: Callable[..., Any], given_name: str | None) -> None:
        if not isinstance(function, FunctionType):
            raise DefinitionError(
                f"@{self.decorator} stands on {function!r}. Write it directly above a method; a name "
                f"is given as @{self.decorator}(name='…')."
            )
        refuse_what_never_runs(function, f"@{self.decorator}")
        self.function = self._called = function
        self.given_name = given_name
        self.short_name = function.__name__
        self.__doc__ = function.__doc__

    def __set_name__(self, owner: type, name: str) -> None:
        self.short_name = name

    def bound_to(self, aggregate: type[Aggregate], keys: tuple[Parameter, ...]) -> Self:
        """Return this definition for one aggregate type, which may have inherited it.

        Raises:
            DefinitionError: it cannot work.
        """
        where = f"{aggregate.__module__}.{aggregate.__qualname__}.{self.short_name}"
        parameters = parameters_of(self.function, aggregate, where)
        self._refuse_names(parameters, keys, where)
        definition = type(self)(self.function, self.given_name)
        definition.short_name = self.short_name
        definition.aggregate = aggregate
        given = self.given_name or self.short_name
        definition.name = given if "." in given else f"{aggregate.type_name}.{given}"
        refuse_type_name(definition.name, where)
        definition.keys = tuple(key.name for key in keys)
        definition.fields = tuple(parameter.name for parameter in parameters)
        definition.payload = build_payload(
            self.short_name,
            (*keys, *parameters),
            self.message_base,
            where=where,
            module=aggregate.__module__,
            forbid_unknown_fields=self.forbid_unknown_fields,
        )
        definition.payload.struct.__qualname__ = f"{aggregate.__qualname__}.{self.short_name}"
        definition.payload.struct.definition = definition  # type: ignore[attr-defined]
        definition._arguments = reader_of(definition.fields)
        definition._keys_of = reader_of(definition.keys)
        definition._required = tuple(
            one.name for one in parameters if one.default is msgspec.NODEFAULT
        )
        definition.keyword_only = self.function.__code__.co_kwonlyargcount
        definition._conditions = conditions_of(self.function)
        refuse_other_arguments(definition._conditions, definition.fields, where)
        definition._called = update_wrapper(definition._calling(), self.function)
        attach_refusals(definition._called, definition)
        return definition

    def _calling(self) -> Callable[..., Any]:
        """Return a function of an aggregate and arguments: quicker to call than a method of this object."""
        raise NotImplementedError

    def _refuse_names(
        self, parameters: tuple[Parameter, ...], keys: tuple[Parameter, ...], where: str
    ) -> None:
        key_names = {key.name for key in keys}
        for parameter in parameters:
            if parameter.name in key_names:
                raise DefinitionError(
                    f"{where}: parameter {parameter.name!r} is a key property of the aggregate, and "
                    "key properties are in every message already. Leave the parameter out and read "
                    f"self.{parameter.name}."
                )
        for name in (*key_names, *(parameter.name for parameter in parameters)):
            if name in self.reserved or name.startswith("_"):
                raise DefinitionError(
                    f"{where}: the name {name!r} is taken by the library. Choose another one."
                )

    @overload
    def message(
        self: MessageType[A, P, M, OneKey[Key1, Any]],
        key: Key1,
        /,
        *args: P.args,
        **kwargs: P.kwargs,
    ) -> M: ...
    @overload
    def message(
        self: MessageType[A, P, M, TwoKeys[Key1, Key2, Any]],
        key: Key1,
        second: Key2,
        /,
        *args: P.args,
        **kwargs: P.kwargs,
    ) -> M: ...
    @overload
    def message(
        self: MessageType[A, P, M, ThreeKeys[Key1, Key2, Key3, Any]],
        key: Key1,
        second: Key2,
        third: Key3,
        /,
        *args: P.args,
        **kwargs: P.kwargs,
    ) -> M: ...
    @overload
    def message(
        self: MessageType[A, P, M, SomeKeys],
        key: Any,
        second: Any,
        third: Any,
        fourth: Any,
        /,
        *args: Any,
        **kwargs: Any,
    ) -> M: ...
    @overload
    def message(self, /, **by_name: Any) -> M: ...
    def message(self, /, *args: Any, **kwargs: Any) -> Any:
        """Return a message of this type: key properties first, then the fields, by position or name.

        Raises:
            TypeError: too many, too few or unknown arguments.
            InvalidMessage: a value has the wrong type or is out of bounds.
        """
        __tracebackhide__ = True
        try:
            names, required = (*self.keys, *self.fields), (*self.keys, *self._required)
            return self._checked(self._values(names, required, args, kwargs))
        except Exception as error:
            shorten(error)
            raise

    def from_dict(self, values: Any) -> M:
        """Return a message from plain values, as JSON gives them: dates, Decimals and UUIDs as text.

        Args:
            values: field values by name, key properties included.

        Raises:
            InvalidMessage: it is no mapping, or a field is missing, unknown, of the wrong type or out
                of bounds.
        """
        if not isinstance(values, Mapping):
            raise InvalidMessage(self.name, "", f"Expected an object, got {type(values).__name__}")
        for name in values:
            if name not in self.payload.struct.__struct_fields__:
                raise InvalidMessage(self.name, str(name), "is not a field of this message")
        __tracebackhide__ = True
        try:
            return self._checked(values)
        except Exception as error:
            shorten(error)
            raise

    def from_json(self, data: bytes) -> M:
        """Return a message from a JSON object. No digit of a number is lost on its way to a Decimal.

        Args:
            data: field values by name, key properties included, in UTF-8.

        Raises:
            InvalidMessage: it is no JSON, has a key twice in an object, or as in `from_dict`.
        """
        try:
            members = members_of(data)
            for name in members:
                if name not in self.payload.struct.__struct_fields__:
                    raise InvalidMessage(self.name, name, "is not a field of this message")
            message = self._decoded(data, members)
        except msgspec.ValidationError as error:
            raise invalid(self.name, error) from None
        except WrongText as error:
            raise InvalidMessage(self.name, error.field, error.reason) from None
        __tracebackhide__ = True
        try:
            return self._checked({name: getattr(message, name) for name in members})
        except Exception as error:
            shorten(error)
            raise

    def _decoded(self, data: bytes, members: Mapping[str, msgspec.Raw]) -> Any:
        try:
            return self.payload.decode(data)
        except msgspec.ValidationError:
            raise
        except (ValueError, RecursionError):
            raise culprit_in(members) from None

    def checked(self, message: Message) -> Any:
        """Return a message of this type, which somebody may have made by hand, as `message` makes it.

        Raises:
            InvalidMessage: see `message`.
        """
        values = {name: getattr(message, name) for name in message.__struct_fields__}
        return self.payload.convert(self.name, values)

    def _checked(self, values: Mapping[str, Any]) -> M:
        message: M = self.payload.convert(self.name, values)
        self.aggregate.checked_empty(message)
        return message

    def _values(
        self,
        names: tuple[str, ...],
        required: tuple[str, ...],
        args: tuple[Any, ...],
        kwargs: dict[str, Any],
    ) -> dict[str, Any]:
        """Return arguments by name, as a call would bind them."""
        most = len(names) - self.keyword_only
        if len(args) > most:
            kind = "positional arguments" if self.keyword_only else "arguments"
            raise Misuse(f"{self.name} takes {most} {kind}, {len(args)} were given")
        values = dict(zip(names, args))  # noqa: B905 - fewer arguments than names is fine
        if len(values) == len(names) and not kwargs:
            return values
        for name, value in kwargs.items():
            if name in values:
                raise Misuse(f"{self.name} got two values for {name!r}")
            if name not in names:
                known = ", ".join(names) or "no arguments"
                raise Misuse(f"{self.name} takes no argument {name!r}; it takes {known}")
            values[name] = value
        missing = [name for name in required if name not in values]
        if missing:
            raise Misuse(f"{self.name} needs {', '.join(map(repr, missing))}")
        return values

    def _fresh_message(self, aggregate: Any, args: tuple[Any, ...], kwargs: dict[str, Any]) -> Any:
        """Return the message that a call on an aggregate stands for, its keys merged in."""
        values = self._values(self.fields, self._required, args, kwargs)
        for key in self.keys:
            values[key] = getattr(aggregate, key)
        return self.payload.convert(self.name, values)

    def _call(self, aggregate: Any, arguments: tuple[Any, ...]) -> Any:
        if not self.keyword_only:
            return self.function(aggregate, *arguments)
        border = len(arguments) - self.keyword_only
        named = dict(zip(self.fields[border:], arguments[border:]))  # noqa: B905 - same length
        return self.function(aggregate, *arguments[:border], **named)

    if not TYPE_CHECKING:

        def __call__(self, *_, **__):
            """Refuse ``Account.deposit("1", 5)``, and say what to write."""
            raise called_on_the_class(self)

    def __repr__(self) -> str:
        kind = type(self).__name__
        return f"<{kind} {getattr(self, 'name', self.short_name)}>"
