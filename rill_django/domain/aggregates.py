"""Aggregates: frozen values that decide, and are made anew by every event."""

from __future__ import annotations

from collections.abc import Collection
from typing import TYPE_CHECKING, Any, TypeVar, cast

import msgspec
from typing_extensions import Self, dataclass_transform

from .conditions import Condition
from .definitions import CommandType, EventType, refuse_type_name
from .errors import DefinitionError, InvalidMessage
from .keys import Key, key, key_parameters, own_annotations
from .messages import EventMessage, Message
from .payload import Parameter, Payload, build_payload, convert
from .registry import current_registry
from .results import Rejected
from .runtime import current
from .streams import MAX_STREAM_LENGTH, stream_name

A = TypeVar("A", bound="Aggregate")

_BOOKKEEPING = ("_version", "_new_events")


class AggregateMeta(msgspec.StructMeta):
    """Makes a frozen struct of an aggregate class, and checks and registers what it defines."""

    type_name: str
    _key_parameters: tuple[Parameter, ...]
    _key_names: tuple[str, ...]
    _key_payload: Payload
    _key_conditions: tuple[Condition, ...]
    _definitions: dict[str, EventType[Any, ...] | CommandType[Any, ...]]

    def __new__(
        mcls,
        class_name: str,
        bases: tuple[type, ...],
        namespace: dict[str, Any],
        /,
        *,
        name: str | None = None,
        abstract: bool = False,
        frozen: bool = True,
        kw_only: bool = False,
    ) -> Any:
        """Create the class.

        Args:
            name: stable type name, e.g. ``bank.Account``; default: the app's label and the class's name.
            abstract: the class only passes its fields, events and commands on to its subclasses.
            frozen, kw_only: for the base class alone, which type checkers read them from.
        """
        where = f"{namespace['__module__']}.{namespace['__qualname__']}"
        parents = [base for base in bases if isinstance(base, AggregateMeta)]
        if parents and not frozen:
            raise DefinitionError(f"{where}: an aggregate is always frozen. Take frozen=False out.")
        keys = {field: one for field, one in namespace.items() if isinstance(one, Key)}
        fields = {field: one for field, one in namespace.items() if field not in keys}
        try:
            cls = super().__new__(mcls, class_name, bases, fields, frozen=frozen, kw_only=kw_only)
        except TypeError as error:
            reason = str(error).split(". Either")[0]  # msgspec's own advice would not help here
            raise DefinitionError(
                f"{where}: {reason}. Key properties come first, and every other field needs an "
                "immutable default, since an aggregate with no events must exist too."
            ) from error
        cls.type_name = name or f"{app_label_of(cls.__module__)}.{class_name}"
        # As often as the bases have it, but each once.
        cls._key_parameters = tuple(
            dict.fromkeys(one for parent in parents for one in parent._key_parameters)
        )
        cls._key_conditions = tuple(
            dict.fromkeys(one for parent in parents for one in parent._key_conditions)
        )
        cls._key_names = tuple(one.name for one in cls._key_parameters)
        # A base may also be a plain class.
        cls._definitions = {
            member: one
            for base in reversed(cls.__mro__[1:])
            for member, one in vars(base).items()
            if isinstance(one, (EventType, CommandType))
        }
        if parents:
            _refuse_members(cls, fields, keys, where)
            refuse_type_name(cls.type_name, where)
            for parameter, condition in key_parameters(cls, keys, where):
                cls._key_parameters += (parameter,)
                cls._key_conditions += (condition,) if condition else ()
            cls._key_names = tuple(one.name for one in cls._key_parameters)
            for member, one in fields.items():
                if isinstance(one, (EventType, CommandType)):
                    cls._definitions[member] = one
            if not abstract:
                cls._complete(where)
        return cls

    def __init__(cls, *args: Any, **options: Any) -> None:
        super().__init__(*args)

    def restored(cls, values: dict[str, Any]) -> Any:
        """Return an aggregate with all its fields as they were; for pickle and deepcopy."""
        return super().__call__(**values)

    def _complete(cls, where: str) -> None:
        if not cls._key_parameters:
            raise DefinitionError(
                f"{where} has no key property, so its streams could not be told apart. Add one, e.g. "
                "number: str = key(); or make it a base class: class …(Aggregate, abstract=True)."
            )
        cls._key_payload = build_payload(
            cls.__name__, cls._key_parameters, Message, where=where, module=cls.__module__
        )
        aggregate = cast("type[Aggregate]", cls)
        for member, definition in cls._definitions.items():
            cls._definitions[member] = definition.bound_to(aggregate, cls._key_parameters)
            setattr(cls, member, cls._definitions[member])
        current_registry().add(aggregate, cls.type_name)

    if not TYPE_CHECKING:  # A type checker takes the arguments from the fields.

        def __call__(cls, *args, **kwargs):
            """Return the empty aggregate with these key properties, by position or keyword."""
            names = cls.key_names()
            if "_key_payload" not in vars(cls):
                raise TypeError(
                    f"{cls.__name__} is abstract: there are aggregates of subclasses only"
                )
            if len(args) > len(names) or any(name not in names for name in kwargs):
                raise TypeError(
                    f"{cls.__name__} takes its key properties only ({', '.join(names)}); everything "
                    "else about it comes from its events."
                )
            values = dict(zip(names, args))  # noqa: B905 - fewer arguments than names is fine
            if not values.keys().isdisjoint(kwargs):
                raise TypeError(f"{cls.__name__} got two values for the same key property")
            values.update(kwargs)
            if len(values) < len(names):
                missing = ", ".join(repr(name) for name in names if name not in values)
                raise TypeError(f"{cls.__name__} needs its key properties; missing: {missing}")
            return cls.checked_empty(convert(cls._key_payload, cls.type_name, values))

    def key_names(cls) -> tuple[str, ...]:
        """Return the names of the key properties, in order."""
        return cls._key_names

    def event_types(cls) -> tuple[EventType[Any, ...], ...]:
        """Return the event types of this aggregate type, in the order of their definition."""
        return tuple(one for one in cls._definitions.values() if isinstance(one, EventType))

    def command_types(cls) -> tuple[CommandType[Any, ...], ...]:
        """Return the command types of this aggregate type, in the order of their definition."""
        return tuple(one for one in cls._definitions.values() if isinstance(one, CommandType))

    def add_key_condition(cls, condition: Condition) -> None:
        """Ask for something of the key properties together; used by ``@require``."""
        cls._key_conditions += (condition,)

    def empty(cls, keys: Message | Aggregate) -> Any:
        """Return the empty aggregate with the keys of a checked message, or of an aggregate."""
        values = {name: getattr(keys, name) for name in cls.key_names()}
        return super().__call__(**values)

    def checked_empty(cls, keys: Message) -> Any:
        """Return the empty aggregate of a message, having checked of its keys what types cannot.

        Raises:
            InvalidMessage: a key is empty, a precondition does not hold, or the stream's name gets
                too long.
        """
        aggregate = cls.empty(keys)
        for name in cls.key_names():
            value = getattr(keys, name)
            if value == "":
                raise InvalidMessage(cls.type_name, name, "a key property must not be empty")
            if isinstance(value, str) and not _is_encodable(value):
                raise InvalidMessage(cls.type_name, name, f"{value!r} is no Unicode text")
        for condition in cls._key_conditions:
            if not condition.predicate(aggregate):
                raise InvalidMessage(cls.type_name, condition.field, condition.demand)
        length = len(aggregate.stream)
        if length > MAX_STREAM_LENGTH:
            raise InvalidMessage(
                cls.type_name,
                "",
                f"the stream's name, {aggregate.stream[:40]}…, has {length} characters; "
                f"the longest that can be stored has {MAX_STREAM_LENGTH}",
            )
        return aggregate


def app_label_of(module: str) -> str:
    """Return the app that a module belongs to: ``shop.bank.domain.accounts`` is of ``bank``."""
    parts = module.split(".")
    if "domain" in parts[1:]:
        return parts[len(parts) - 1 - parts[::-1].index("domain") - 1]
    return parts[-2] if len(parts) > 1 else parts[0]


def _is_encodable(text: str) -> bool:
    """Whether UTF-8 can hold the text, which it cannot if that has half a surrogate pair in it."""
    try:
        text.encode()
    except UnicodeEncodeError:
        return False
    return True


def _refuse_members(
    cls: AggregateMeta, namespace: dict[str, Any], keys: Collection[str], where: str
) -> None:
    """Raise `DefinitionError` for fields and methods that cannot work."""
    reserved = {
        name for name in (*dir(Aggregate), *vars(AggregateMeta)) if not name.startswith("__")
    }
    fields = {
        name: annotation
        for name, annotation in own_annotations(cls).items()
        if "ClassVar" not in str(annotation)
    }
    definitions = [
        name for name, one in namespace.items() if isinstance(one, (EventType, CommandType))
    ]
    inherited_keys = cls.key_names()
    for name, one in namespace.items():
        if name in cls._definitions and not isinstance(one, (EventType, CommandType)):
            raise DefinitionError(
                f"{where}: {name!r} would hide the inherited {cls._definitions[name]!r}. "
                "Choose another name, or decorate it too."
            )
    for name in definitions:
        if name in cls.__struct_fields__:
            raise DefinitionError(f"{where}: {name!r} is a field and a method. Rename one of them.")
    for name in fields:
        if name in inherited_keys:
            raise DefinitionError(
                f"{where}: {name!r} is an inherited key property, which cannot be declared again."
            )
    for name in (*fields, *definitions):
        if name in reserved:
            raise DefinitionError(
                f"{where}: the name {name!r} is taken by the library. Choose another one."
            )
        if isinstance(namespace.get(name), (list, dict, set, bytearray)):
            raise DefinitionError(
                f"{where}: field {name!r} has a mutable default, {namespace[name]!r}. Aggregates are "
                "values that are shared: use a tuple, a frozenset, or "
                f"{name} = msgspec.field(default_factory=dict) and evolve it by a new dict."
            )
    for name in fields.keys() - set(keys) - namespace.keys():
        raise DefinitionError(
            f"{where}: field {name!r} has no default. Give it one, since an aggregate with no events "
            f"must exist too; or make it a key property: {name}: … = key()"
        )


# On the class, not its metaclass: type checkers would take what msgspec.Struct says of itself first.
@dataclass_transform(frozen_default=True, field_specifiers=(key, msgspec.field))
class Aggregate(msgspec.Struct, metaclass=AggregateMeta, frozen=True, kw_only=True):
    """Base class of all aggregates.

    An aggregate is the reduction of its stream to what is needed to decide about the next events. It
    is frozen: events make new ones by `evolve`, so a rejected command has changed nothing and the same
    value may be handed to all threads.

    Source: Rill/Wheel's ``defaggregate``.
    """

    _version: int = -1
    _new_events: tuple[EventMessage, ...] = ()

    @property
    def stream(self) -> str:
        """Canonical name of the aggregate's stream, e.g. ``bank.Account/12345678``."""
        cls = type(self)
        return stream_name(cls.type_name, [getattr(self, name) for name in cls.key_names()])

    @property
    def version(self) -> int:
        """Version of the last stored event that is applied here; -1 when there is none."""
        return self._version

    @property
    def new_events(self) -> tuple[EventMessage, ...]:
        """Events applied here that are not stored yet."""
        return self._new_events

    @property
    def uncommitted(self) -> bool:
        """Whether there are events that are not stored yet."""
        return bool(self._new_events)

    @property
    def is_new(self) -> bool:
        """Whether nothing is stored about it, as far as is known here."""
        return self._version < 0

    @property
    def exists(self) -> bool:
        """Whether anything has happened to it, stored or not."""
        return self._version >= 0 or bool(self._new_events)

    @classmethod
    def get(cls, *keys: Any, **named_keys: Any) -> Self:
        """Fetch by key. A stream with no events gives the empty aggregate.

        Raises:
            InvalidMessage: a key has the wrong type.
        """
        return current().update(cls(*keys, **named_keys))

    def emptied(self) -> Self:
        """Return the aggregate as it is before its first event: its key properties only."""
        return cast("Self", type(self).empty(self))

    def evolve(self, **changes: Any) -> Self:
        """Return a copy with these fields changed; used by event methods.

        Raises:
            TypeError: a field does not exist, or is a key property.
        """
        keys = type(self).key_names()
        if not changes.keys().isdisjoint(keys):
            raise TypeError(
                f"{type(self).__name__}: key properties never change: {', '.join(keys)}"
            )
        if "_version" in changes or "_new_events" in changes:
            raise TypeError(
                f"{type(self).__name__}: {' and '.join(_BOOKKEEPING)} follow the events"
            )
        return msgspec.structs.replace(self, **changes)

    def reject(self, reason: str, /, **data: Any) -> Rejected:
        """Return a rejection with a stable reason and arbitrary data; used by command methods."""
        return Rejected(reason, data, self)

    def read(self, other: type[A], /, *keys: Any, **named_keys: Any) -> A:
        """Fetch another aggregate by key, inside a command. What comes back may be stale."""
        return other.get(*keys, **named_keys)

    def apply(self, *messages: EventMessage) -> Self:
        """Return the aggregate with event messages applied as new, uncommitted events.

        Raises:
            TypeError: a message is no event, or belongs to another aggregate.
        """
        aggregate = self
        for message in messages:
            definition = getattr(message, "definition", None)
            if (
                not isinstance(definition, EventType)
                or definition.aggregate.empty(message) != self.emptied()
            ):
                raise TypeError(f"{message!r} is not an event of {self.stream}")
            aggregate = definition.apply_new(aggregate, message)
        return aggregate

    def __reduce__(self) -> Any:
        # The class takes key properties only, so it cannot be called with all fields.
        values = {name: getattr(self, name) for name in self.__struct_fields__}
        return AggregateMeta.restored, (type(self), values)

    def __repr__(self) -> str:
        cls = type(self)
        keys = ", ".join(repr(getattr(self, name)) for name in cls.key_names())
        state = "".join(
            f", {name}={getattr(self, name)!r}"
            for name in cls.__struct_fields__
            if name not in cls.key_names() and name not in _BOOKKEEPING
        )
        pending = f", uncommitted={len(self._new_events)}" if self._new_events else ""
        return f"{cls.__name__}({keys}{state}, version={self._version}{pending})"
