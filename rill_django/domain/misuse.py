"""What looks right and is not: the words for it, with what to write instead.

Type checkers find these, and so are not to see the methods that are here for their errors only.
"""

from __future__ import annotations

from collections.abc import Callable, Collection
from difflib import get_close_matches
from typing import TYPE_CHECKING, Any, NoReturn

from .errors import Misuse
from .state import BOOKKEEPING

if TYPE_CHECKING:
    from .aggregates import Aggregate
    from .message_types import MessageType


class Hint:
    """An attribute that there is not: looking for it raises an AttributeError with the cure.

    Args:
        cure: what to write, with ``{name}`` for the class's name.
    """

    def __init__(self, cure: str) -> None:
        self._cure = cure

    def __set_name__(self, owner: type, name: str) -> None:
        self._name = name

    def __get__(self, instance: Any, owner: type) -> NoReturn:
        cure = self._cure.format(name=owner.__name__)
        raise AttributeError(f"{owner.__name__} has no attribute {self._name!r}. {cure}")


class Written:
    """How a message type is used, as it is written in code."""

    def __init__(self, definition: MessageType) -> None:
        aggregate, name = definition.aggregate.__name__, definition.short_name
        keys, fields = ", ".join(definition.keys), ", ".join(definition.fields)
        both = ", ".join((*definition.keys, *definition.fields))
        self.type = f"{aggregate}.{name}"
        self.decided = f"{aggregate}.get({keys}).{name}({fields})"
        self.committed = f"commit({self.decided})"
        self.applied = f"self.{name}({fields})"
        self.transacted = f"{aggregate}.{name}.transact({both})"
        self.message = f"{aggregate}.{name}.message({both})"


def called_on_the_class(definition: MessageType) -> Misuse:
    """Return the error of ``Account.deposit(…)``."""
    if not hasattr(definition, "aggregate"):
        return Misuse(f"{definition!r} is of an abstract class, whose subclasses have aggregates.")
    written = Written(definition)
    if definition.decorator == "command":
        return Misuse(
            f"{written.type} is a command type, and was called on no aggregate. To fetch, decide and commit: "
            f"{written.transacted}. To decide only: {written.decided}. As data: {written.message}."
        )
    return Misuse(
        f"{written.type} is an event type, and was called on no aggregate. To apply it as a new event, in a "
        f"command: {written.applied}. As data: {written.message}."
    )


def attach_refusals(called: Any, definition: MessageType) -> None:
    """Have ``account.deposit``, which is a method, tell what the type ``Account.deposit`` is for."""
    written = Written(definition)
    kind = definition.decorator

    def refusing(name: str, cure: str) -> Callable[..., NoReturn]:
        def refuse(*_: Any, **__: Any) -> NoReturn:
            raise Misuse(
                f"{name} belongs to the {kind} type {written.type}, and was called on the method of an "
                f"aggregate. {cure}"
            )

        return refuse

    transact = f"Events are stored by a command that returns {written.applied}."
    if kind == "command":
        transact = (
            f"To fetch, decide and commit: {written.transacted}. To store what a fetched one decides: "
            f"{written.committed}."
        )
    called.transact = refusing("transact", transact)
    called.message = refusing("message", f"Write: {written.message}.")
    for name in ("from_dict", "from_json"):
        setattr(called, name, refusing(name, f"Write: {written.type}.{name}(…)."))


def wrong_changes(aggregate: type[Aggregate], names: Collection[str]) -> Misuse:
    """Return the error of ``evolve`` for fields that there are not, or that follow from others."""
    own, keys = aggregate.__name__, aggregate.key_names()
    if not set(keys).isdisjoint(names):
        return Misuse(f"{own}: key properties never change: {', '.join(keys)}")
    if not set(BOOKKEEPING).isdisjoint(names):
        return Misuse(f"{own}: {', '.join(BOOKKEEPING)} follow the events")
    fields = [one for one in aggregate.__struct_fields__ if one not in (*keys, *BOOKKEEPING)]
    unknown = next(one for one in names if one not in fields)
    if unknown in vars(aggregate):
        return Misuse(
            f"{own}: {unknown!r} is no field, since it has no type. Write in the class: {unknown}: … = …"
        )
    near = get_close_matches(unknown, fields, 1)
    meant = f" Did you mean {near[0]!r}?" if near else ""
    return Misuse(f"{own} has no field {unknown!r}; it has {', '.join(fields) or 'none'}.{meant}")


def refuse_setting(aggregate: Aggregate, name: str, *_: Any) -> NoReturn:
    """Refuse ``self.balance = …``."""
    raise AttributeError(
        f"{type(aggregate).__name__} never changes, so its {name!r} cannot be set. In an event method, "
        f"write: return self.evolve({name}=…). A command returns what its events make."
    )
