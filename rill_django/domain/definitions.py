"""Event and command types: what `@event` and `@command` make of a method."""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from types import FunctionType, MethodType
from typing import TYPE_CHECKING, Any, Concatenate, Generic, ParamSpec, TypeVar, overload

import msgspec
from typing_extensions import Self

from .conditions import Conditions, check_postconditions, check_preconditions, conditions_of
from .errors import DefinitionError, InvalidMessage
from .messages import CommandMessage, EventMessage, Message
from .payload import Parameter, Payload, build_payload, convert, parameters_of
from .records import RESERVED_EVENT_FIELDS
from .results import Rejected, Result
from .runtime import current

if TYPE_CHECKING:
    from .aggregates import Aggregate

A = TypeVar("A", bound="Aggregate")
P = ParamSpec("P")

_TYPE_NAME = re.compile(r"[A-Za-z0-9_.-]{1,200}")
_RESERVED = frozenset((*(one for one in dir(EventMessage) if one[:2] != "__"), "definition"))


def refuse_type_name(name: str, where: str) -> None:
    """Raise `DefinitionError` for a name that the log, or a stream's name, cannot hold."""
    if not _TYPE_NAME.fullmatch(name):
        raise DefinitionError(
            f"{where}: {name!r} cannot be a type name. Give it one of at most 200 ASCII letters, "
            "digits, '_', '-' and '.', e.g. name='bank.Account' or name='opened'."
        )


class MessageType:
    """What event and command types share: a name, fields, and messages of that form.

    Attributes:
        name: full stable name, e.g. ``bank.Account.opened``.
        short_name: the method's name.
        aggregate: the aggregate type it belongs to.
        keys: names of the aggregate's key properties, merged into every message.
        fields: names of the message's own fields.
        payload: the struct of its messages.
        decoder: JSON bytes to message.
    """

    decorator: str
    message_base: type[Message]
    forbid_unknown_fields: bool
    reserved: frozenset[str] = _RESERVED

    name: str
    short_name: str
    aggregate: type[Aggregate]
    keys: tuple[str, ...]
    fields: tuple[str, ...]
    payload: Payload
    decoder: msgspec.json.Decoder[Any]
    _required: tuple[str, ...]
    _keyword_only: int
    _conditions: Conditions

    def __init__(self, function: Callable[..., Any], given_name: str | None) -> None:
        if not isinstance(function, FunctionType):
            raise DefinitionError(
                f"@{self.decorator} stands on {function!r}. Write it directly above a method; a name "
                f"is given as @{self.decorator}(name='…')."
            )
        self.function = function
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
        definition.decoder = msgspec.json.Decoder(definition.payload.struct)
        definition._required = tuple(
            one.name for one in parameters if one.default is msgspec.NODEFAULT
        )
        definition._keyword_only = self.function.__code__.co_kwonlyargcount
        definition._conditions = conditions_of(self.function)
        return definition

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

    def message(self, /, *args: Any, **kwargs: Any) -> Any:
        """Return a message of this type: key properties first, then the fields, by position or name.

        Raises:
            TypeError: too many, too few or unknown arguments.
            InvalidMessage: a value has the wrong type or is out of bounds.
        """
        names, required = (*self.keys, *self.fields), (*self.keys, *self._required)
        return self._checked(self._values(names, required, args, kwargs))

    def from_dict(self, values: Any) -> Any:
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
        return self._checked(values)

    def _checked(self, values: Mapping[str, Any]) -> Any:
        message = convert(self.payload, self.name, values)
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
        most = len(names) - self._keyword_only
        if len(args) > most:
            kind = "positional arguments" if self._keyword_only else "arguments"
            raise TypeError(f"{self.name} takes {most} {kind}, {len(args)} were given")
        values = dict(zip(names, args))  # noqa: B905 - fewer arguments than names is fine
        if len(values) == len(names) and not kwargs:
            return values
        for name, value in kwargs.items():
            if name in values:
                raise TypeError(f"{self.name} got two values for {name!r}")
            if name not in names:
                known = ", ".join(names) or "no arguments"
                raise TypeError(f"{self.name} takes no argument {name!r}; it takes {known}")
            values[name] = value
        missing = [name for name in required if name not in values]
        if missing:
            raise TypeError(f"{self.name} needs {', '.join(map(repr, missing))}")
        return values

    def _fresh_message(self, aggregate: Any, args: tuple[Any, ...], kwargs: dict[str, Any]) -> Any:
        """Return the message that a call on an aggregate stands for, its keys merged in."""
        values = self._values(self.fields, self._required, args, kwargs)
        for key in self.keys:
            values[key] = getattr(aggregate, key)
        return convert(self.payload, self.name, values)

    def _arguments(self, message: Any) -> list[Any]:
        return [getattr(message, name) for name in self.fields]

    def _call(self, aggregate: Any, arguments: list[Any]) -> Any:
        if not self._keyword_only:
            return self.function(aggregate, *arguments)
        border = len(arguments) - self._keyword_only
        named = dict(zip(self.fields[border:], arguments[border:]))  # noqa: B905 - same length
        return self.function(aggregate, *arguments[:border], **named)

    def __repr__(self) -> str:
        kind = type(self).__name__
        return f"<{kind} {getattr(self, 'name', self.short_name)}>"


class EventType(MessageType, Generic[A, P]):
    """The type of an event. ``Account.opened`` is one; ``account.opened(…)`` applies a new event."""

    decorator = "event"
    message_base = EventMessage
    forbid_unknown_fields = False
    reserved = _RESERVED | RESERVED_EVENT_FIELDS

    @overload
    def __get__(self, instance: Message | None, owner: type) -> Self: ...
    @overload
    def __get__(self, instance: object, owner: type) -> Callable[P, A]: ...
    def __get__(self, instance: Any, owner: type) -> Any:
        if instance is None or isinstance(instance, Message):
            return self
        return MethodType(self._apply_new, instance)

    def _apply_new(self, aggregate: A, /, *args: Any, **kwargs: Any) -> A:
        return self.apply_new(aggregate, self._fresh_message(aggregate, args, kwargs))

    def apply_new(self, aggregate: A, message: EventMessage) -> A:
        """Return the aggregate with the message applied as a new, uncommitted event.

        Raises:
            InvalidMessage: a precondition does not hold.
            PostconditionFailed: a postcondition does not hold.
        """
        arguments = self._arguments(message)
        check_preconditions(self._conditions.required, self.name, aggregate, arguments)
        applied = self._run(aggregate, arguments)
        self._refuse_misuse(aggregate, applied)
        check_postconditions(self._conditions.ensured, self.name, applied, arguments)
        return msgspec.structs.replace(applied, _new_events=(*applied.new_events, message))

    def apply_recorded(self, aggregate: A, message: EventMessage) -> A:
        """Return the aggregate with an event applied that happened before. Facts are not checked again."""
        return self._run(aggregate, self._arguments(message))

    def _run(self, aggregate: A, arguments: list[Any]) -> A:
        applied = self._call(aggregate, arguments)
        if applied is None:
            return aggregate
        if type(applied) is not type(aggregate):
            raise self._returned(applied)
        return applied

    def _refuse_misuse(self, aggregate: A, applied: A) -> None:
        if applied is aggregate:
            return
        for key in self.keys:
            if getattr(applied, key) != getattr(aggregate, key):
                raise self._returned(applied)
        if applied._new_events is not aggregate._new_events:
            # Read from the log, it would be applied here and once more on its own.
            raise TypeError(
                f"The event method {self.name} applies another event. Leave that to the command, "
                "and what both events do to a plain method."
            )

    def _returned(self, wrong: object) -> TypeError:
        return TypeError(
            f"The event method {self.name} has to return the aggregate, or None to leave it as "
            f"it is; it returned {wrong!r}. Write: return self.evolve(…)"
        )


class CommandType(MessageType, Generic[A, P]):
    """The type of a command. ``account.withdraw(…)`` decides; nothing is stored."""

    decorator = "command"
    message_base = CommandMessage
    forbid_unknown_fields = True
    reserved = _RESERVED | {"expected_version", "idempotency_key"}  # arguments of `transact`

    @overload
    def __get__(self, instance: Message | None, owner: type) -> Self: ...
    @overload
    def __get__(self, instance: object, owner: type) -> Callable[P, A | Rejected]: ...
    def __get__(self, instance: Any, owner: type) -> Any:
        if instance is None or isinstance(instance, Message):
            return self
        return MethodType(self._decide, instance)

    def _decide(self, aggregate: A, /, *args: Any, **kwargs: Any) -> A | Rejected:
        return self.decide(aggregate, self._fresh_message(aggregate, args, kwargs))

    def decide(self, aggregate: A, message: CommandMessage) -> A | Rejected:
        """Let the aggregate decide about a message: new events, or a rejection.

        Raises:
            InvalidMessage: a precondition does not hold.
            PostconditionFailed: a postcondition does not hold.
        """
        arguments = self._arguments(message)
        check_preconditions(self._conditions.required, self.name, aggregate, arguments)
        decision = self._call(aggregate, arguments)
        if isinstance(decision, Rejected):
            return decision
        if type(decision) is not type(aggregate) or decision.stream != aggregate.stream:
            raise TypeError(
                f"The command method {self.name} has to return its own aggregate or a rejection; it "
                f"returned {decision!r}. Write: return self.<event>(…), self.reject(…) or self."
            )
        check_postconditions(self._conditions.ensured, self.name, decision, arguments)
        return decision

    def transact(
        self,
        /,
        *args: Any,
        expected_version: int | None = None,
        idempotency_key: str | None = None,
        **kwargs: Any,
    ) -> Result[A]:
        """Fetch the aggregate, let it decide, and commit. Arguments as in `message`.

        Args:
            expected_version: version of the stream that the caller has seen; a `Conflict` comes back
                if the stream is no longer there. Without it, a lost race is tried again.
            idempotency_key: stands for this command and its repetitions: the first one is carried
                out, the others get its result.

        Raises:
            TypeError, InvalidMessage: as in `message`.
            IdempotencyKeyReused: the key was used for another command.
        """
        message = self.message(*args, **kwargs)
        return current().transact(
            message, expected_version=expected_version, idempotency_key=idempotency_key
        )


@overload
def event(function: Callable[Concatenate[A, P], object], /) -> EventType[A, P]: ...
@overload
def event(
    *, name: str | None = None
) -> Callable[[Callable[Concatenate[A, P], object]], EventType[A, P]]: ...
def event(function: Any = None, /, *, name: str | None = None) -> Any:
    """Make a method an event type. It returns the aggregate as it is after the event.

    Args:
        name: keeps the stored name when the method is renamed; without a dot it is the last part.
    """
    if function is None:
        return lambda function: EventType(function, name)
    return EventType(function, name)


@overload
def command(function: Callable[Concatenate[A, P], A | Rejected], /) -> CommandType[A, P]: ...
@overload
def command(
    *, name: str | None = None
) -> Callable[[Callable[Concatenate[A, P], A | Rejected]], CommandType[A, P]]: ...
def command(function: Any = None, /, *, name: str | None = None) -> Any:
    """Make a method a command type. It returns the aggregate with new events, or a rejection.

    Args:
        name: keeps the name when the method is renamed; without a dot it is the last part.
    """
    if function is None:
        return lambda function: CommandType(function, name)
    return CommandType(function, name)
