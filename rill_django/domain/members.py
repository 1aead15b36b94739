"""What the members of an aggregate's class may be."""

from __future__ import annotations

from collections.abc import Collection, Mapping
from typing import TYPE_CHECKING, Any

from .definitions import CommandType, EventType
from .dropped import refuse_dropped
from .errors import DefinitionError
from .keys import key, own_annotations
from .message_types import MessageType
from .misuse import Hint

if TYPE_CHECKING:
    from .aggregates import Aggregate

_MAKERS = {name: name for name in ("reject", "evolve", "apply")}


def refuse_dropped_values(cls: type[Aggregate], namespace: Mapping[str, Any], where: str) -> None:
    """Raise `DefinitionError` for methods that drop a rejection, or an aggregate with a new event."""
    makers = _MAKERS | {name: one.decorator for name, one in cls._definitions.items()}
    for name, one in namespace.items():
        refuse_dropped(getattr(one, "function", one), makers, f"{where}.{name}")


def refuse_members(
    cls: type[Aggregate], namespace: Mapping[str, Any], keys: Collection[str], where: str
) -> None:
    """Raise `DefinitionError` for fields and methods that cannot work."""
    meta = type(cls)
    root = next(base for base in reversed(cls.__mro__) if isinstance(base, meta))
    reserved = {
        name
        for name in (*dir(root), *vars(meta))
        if not name.startswith("__") and not isinstance(vars(root).get(name), Hint)
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
        _refuse_hidden(name, one, where)
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
        if namespace.get(name) is key:
            raise DefinitionError(
                f"{where}: {name!r} is no key property yet. Write: {name}: … = key()"
            )
        if type(namespace.get(name)).__module__.startswith("django.db.models"):
            raise DefinitionError(
                f"{where}: field {name!r} is a field of a Django model. An aggregate's have a plain type and "
                f"default, e.g. {name}: str = ''; models belong to projections."
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


def _refuse_hidden(name: str, one: Any, where: str) -> None:
    """Raise `DefinitionError` for an event or command under a decorator that hides it."""
    inner = (getattr(one, attribute, None) for attribute in ("fget", "func", "__func__"))
    if any(isinstance(found, MessageType) for found in inner):
        raise DefinitionError(
            f"{where}.{name}: @{type(one).__name__} hides the event or command that it stands on. Take it "
            "away: both are called on an aggregate, like plain methods."
        )
