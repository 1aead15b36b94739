"""Which command decides, or which event is applied, in this thread or task.

Both look at their aggregate and their arguments alone. So they commit nothing, and ask no database; and a
rejection that a command makes is its answer.
"""

from __future__ import annotations

import sys
from contextvars import ContextVar, Token
from types import CodeType
from typing import TYPE_CHECKING, TypeAlias

from .errors import Misuse, RillError
from .places import place_in

if TYPE_CHECKING:
    from .message_types import MessageType


Refusing: TypeAlias = "tuple[MessageType, str, CodeType, int]"
"""What has made a rejection, its reason, and the instruction that did; plain, as each rejection makes one."""


class CommitInCommand(RillError, RuntimeError):
    """A command, or an event method, tried to commit events. None was.

    Attributes:
        by: which one, in words.
    """

    def __init__(self, by: str) -> None:
        self.by = by
        super().__init__(
            f"{by} tries to commit events. It decides about its own aggregate only, and may be tried again "
            "when others commit first. Whoever calls sends both commands, one after the other; what has to "
            "follow from an event goes into a trigger (@after_commit)."
        )

    def __reduce__(self) -> tuple[type[CommitInCommand], tuple[str]]:
        return type(self), (self.by,)


class QueryInCommand(RillError, RuntimeError):
    """A command, or an event method, asked a database.

    Attributes:
        by: which one, in words.
        statement: the SQL.
    """

    def __init__(self, by: str, statement: str) -> None:
        self.by = by
        self.statement = statement
        super().__init__(
            f"{by} asks the database: {statement}. It decides by its aggregate and its arguments alone. "
            "Ask before, and pass what is needed as an argument; another aggregate is read by "
            "self.read(Other, key)."
        )

    def __reduce__(self) -> tuple[type[QueryInCommand], tuple[str, str]]:
        return type(self), (self.by, self.statement)


deciding: ContextVar[MessageType | Refusing | None] = ContextVar("rill_deciding", default=None)


def who_decides() -> str | None:
    """Return, in words, which command decides or which event is applied; ``None``: nobody."""
    here = deciding.get()
    if here is None:
        return None
    by = here[0] if isinstance(here, tuple) else here
    return f"The {by.decorator} {by.name}"


def refuse_commit_in_command() -> None:
    """Raise `CommitInCommand` if a command decides, or an event is applied, in this thread or task."""
    if deciding.get() is not None:
        raise CommitInCommand(str(who_decides()))


def note_rejection(reason: str) -> None:
    """Take note of a rejection that the caller's caller makes, if a command decides."""
    here = deciding.get()
    if here is not None:
        by = here[0] if isinstance(here, tuple) else here
        frame = sys._getframe(2)
        deciding.set((by, reason, frame.f_code, frame.f_lasti))


def lost_rejection(command: MessageType) -> Misuse:
    """Return the error of a command that goes on after a rejection."""
    made = deciding.get()
    assert isinstance(made, tuple)
    _, reason, code, offset = made
    return Misuse(
        f"The command {command.name} goes on after a rejection, {reason!r}, which was made at "
        f"{place_in(code, offset)}. A rejection is a value: it takes effect by being returned. Write: "
        f"return self.reject({reason!r}, …); where another method has made it, return what that returns."
    )


class outside:  # noqa: N801 - used like a function
    """Let other aggregates be read inside the ``with`` block: by whom is forgotten meanwhile."""

    __slots__ = ("_token",)

    _token: Token[MessageType | Refusing | None]

    def __enter__(self) -> None:
        self._token = deciding.set(None)

    def __exit__(self, *_: object) -> None:
        deciding.reset(self._token)
