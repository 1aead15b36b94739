"""What makes an aggregate type of a class: checks it, and registers what it defines."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, Any, cast

import msgspec

from .class_body import ClassBody
from .conditions import Condition
from .definitions import CommandType, EventType
from .errors import DefinitionError, InvalidMessage, Misuse
from .fields import reader_of
from .keys import Key, key_parameters
from .left_out import ignored_names
from .members import refuse_dropped_values, refuse_members
from .messages import Message
from .misuse import refuse_setting
from .names import app_label_of, refuse_type_name
from .parameters import Parameter
from .payload import Payload, build_payload
from .registry import current_registry
from .state import BOOKKEEPING, describe_state, freeze_state, of_its_own
from .streams import MAX_STREAM_LENGTH
from .tracebacks import shorten

if TYPE_CHECKING:
    from .aggregates import Aggregate


class AggregateMeta(msgspec.StructMeta):
    """Makes a frozen struct of an aggregate class, and checks and registers what it defines."""

    type_name: str
    ignores: tuple[str, ...]
    _is_named: bool
    _key_parameters: tuple[Parameter, ...]
    _key_names: tuple[str, ...]
    _keys_of: Callable[[Any], tuple[Any, ...]]
    _key_payload: Payload
    _key_conditions: tuple[Condition, ...]
    _definitions: dict[str, EventType[Any, ...] | CommandType[Any, ...]]
    _ignored_types: frozenset[str]
    _fixed_fields: frozenset[str]
    _changeable: frozenset[str]
    _state_fields: tuple[str, ...]
    _state_of: Callable[[Any], tuple[Any, ...]]
    _has_loose_defaults: bool

    @classmethod
    def __prepare__(cls, class_name: str, bases: tuple[type, ...], /, **_: Any) -> ClassBody:
        """Return what takes the body of a class."""
        return ClassBody()

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
        __tracebackhide__ = True
        try:
            return mcls._made(class_name, bases, namespace, name, abstract, frozen, kw_only)
        except Exception as error:
            shorten(error)
            raise

    @classmethod
    def _made(
        mcls,  # noqa: N804 - of a metaclass
        class_name: str,
        bases: tuple[type, ...],
        namespace: dict[str, Any],
        name: str | None,
        abstract: bool,
        frozen: bool,
        kw_only: bool,
    ) -> Any:
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
            cure = (
                "Key properties come first, and every other field needs an immutable default, since an "
                "aggregate with no events must exist too."
            )
            if reason.startswith("Struct types cannot define"):
                cure = (
                    "An aggregate is made of its key properties; all else follows from its events."
                )
            raise DefinitionError(f"{where}: {reason}. {cure}") from error
        # msgspec has its own for frozen structs, and takes none from the class's body.
        cls.__setattr__ = cls.__delattr__ = refuse_setting  # type: ignore[assignment]
        cls._is_named = name is not None
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
            refuse_members(cast("type[Aggregate]", cls), fields, keys, where)
            ignored_names(cls.ignores, where)
            refuse_type_name(cls.type_name, where)
            for parameter, condition in key_parameters(cls, keys, where):
                cls._key_parameters += (parameter,)
                cls._key_conditions += (condition,) if condition else ()
            cls._key_names = tuple(one.name for one in cls._key_parameters)
            for member, one in fields.items():
                if isinstance(one, (EventType, CommandType)):
                    cls._definitions[member] = one
            refuse_dropped_values(cast("type[Aggregate]", cls), fields, where)
            if not abstract:
                cls._complete(where)
        return cls

    def __init__(cls, *args: Any, **options: Any) -> None:
        super().__init__(*args)

    def restored(cls, values: dict[str, Any]) -> Any:
        """Return an aggregate with all its fields as they were; for pickle and deepcopy."""
        return freeze_state(super().__call__(**values))

    def _complete(cls, where: str) -> None:
        if not cls._key_parameters:
            raise DefinitionError(
                f"{where} has no key property, so its streams could not be told apart. Add one, e.g. "
                "number: str = key(); or make it a base class: class …(Aggregate, abstract=True)."
            )
        cls._key_payload = build_payload(
            cls.__name__, cls._key_parameters, Message, where=where, module=cls.__module__
        )
        cls._keys_of = reader_of(cls._key_names)
        cls._fixed_fields = frozenset((*cls._key_names, *BOOKKEEPING))
        cls._state_fields, cls._state_of, cls._has_loose_defaults = describe_state(cls)
        cls._changeable = frozenset(cls._state_fields)
        aggregate = cast("type[Aggregate]", cls)
        for member, definition in cls._definitions.items():
            cls._definitions[member] = definition.bound_to(aggregate, cls._key_parameters)
            setattr(cls, member, cls._definitions[member])
        cls._ignored_types = cls._all_ignored(where)
        current_registry().add(aggregate, cls.type_name)

    def _all_ignored(cls, where: str) -> frozenset[str]:
        """Return the names in ``ignores`` of the class and its bases, in full."""
        given = (name for base in cls.__mro__ for name in vars(base).get("ignores", ()))
        ignored = frozenset(name if "." in name else f"{cls.type_name}.{name}" for name in given)
        for definition in cls.event_types():
            if definition.name in ignored:
                raise DefinitionError(
                    f"{where}: {definition.name!r} is in ignores, and is the event "
                    f"{definition.short_name!r}. Take it out of ignores."
                )
        return ignored

    if not TYPE_CHECKING:  # A type checker takes the arguments from the fields.

        def __call__(cls, *args, **kwargs):
            """Return the empty aggregate with these key properties, by position or keyword."""
            names = cls.key_names()
            if "_key_payload" not in vars(cls):
                raise Misuse(f"{cls.__name__} is abstract: there are aggregates of subclasses only")
            if len(args) > len(names) or any(name not in names for name in kwargs):
                raise Misuse(
                    f"{cls.__name__} takes its key properties only ({', '.join(names)}); everything "
                    "else about it comes from its events."
                )
            values = dict(zip(names, args))  # noqa: B905 - fewer arguments than names is fine
            if not values.keys().isdisjoint(kwargs):
                raise Misuse(f"{cls.__name__} got two values for the same key property")
            values.update(kwargs)
            if len(values) < len(names):
                missing = ", ".join(repr(name) for name in names if name not in values)
                raise Misuse(f"{cls.__name__} needs its key properties; missing: {missing}")
            __tracebackhide__ = True
            try:
                return cls.checked_empty(cls._key_payload.convert(cls.type_name, values))
            except Exception as error:
                shorten(error)
                raise

    def is_named(cls) -> bool:
        """Whether its type name was given, and does not follow from where it is defined."""
        return cls._is_named

    def key_names(cls) -> tuple[str, ...]:
        """Return the names of the key properties, in order."""
        return cls._key_names

    def event_types(cls) -> tuple[EventType[Any, ...], ...]:
        """Return the event types of this aggregate type, in the order of their definition."""
        return tuple(one for one in cls._definitions.values() if isinstance(one, EventType))

    def ignored_types(cls) -> frozenset[str]:
        """Return the names of event types that are passed over in the streams of this aggregate type."""
        return cls._ignored_types

    def command_types(cls) -> tuple[CommandType[Any, ...], ...]:
        """Return the command types of this aggregate type, in the order of their definition."""
        return tuple(one for one in cls._definitions.values() if isinstance(one, CommandType))

    def add_key_condition(cls, condition: Condition) -> None:
        """Ask for something of the key properties together; used by ``@require``."""
        cls._key_conditions += (condition,)

    def empty(cls, keys: Message | Aggregate) -> Any:
        """Return the empty aggregate with the keys of a checked message, or of an aggregate."""
        aggregate = super().__call__(**{name: getattr(keys, name) for name in cls._key_names})
        if cls._has_loose_defaults:
            return of_its_own(freeze_state(aggregate))
        return aggregate

    def checked_empty(cls, keys: Message) -> Any:
        """Return the empty aggregate of a message, having checked of its keys what types cannot.

        Raises:
            InvalidMessage: a key is empty, a precondition does not hold, or the stream's name gets
                too long.
        """
        aggregate = cls.empty(keys)
        values = cls._keys_of(aggregate)
        given = dict(zip(cls._key_names, values))  # noqa: B905 - same length
        if "" in values:
            name = cls._key_names[values.index("")]
            raise InvalidMessage(cls.type_name, name, "a key property must not be empty", given)
        for condition in cls._key_conditions:
            if not condition.predicate(aggregate):
                raise InvalidMessage(cls.type_name, condition.field, condition.demand, given)
        length = len(aggregate.stream)
        if length > MAX_STREAM_LENGTH:
            raise InvalidMessage(
                cls.type_name,
                max(given, key=lambda name: len(str(given[name]))),
                f"the stream's name, {aggregate.stream[:40]}…, has {length} characters; "
                f"the longest that can be stored has {MAX_STREAM_LENGTH}",
                given,
            )
        return aggregate
