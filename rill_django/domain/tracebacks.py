"""Tracebacks that show the code of whoever uses the library, and little of the library's own.

A mistake in a command came behind eight frames of ours, one in an upcaster behind twenty. Where the library
is entered, `shorten` takes them out of an exception on its way to the caller::

    try:
        …
    except Exception as error:
        shorten(error)
        raise

What is nobody's mistake keeps all its frames: an error of the database, or a fault in the library.
``RILL["FULL_TRACEBACKS"]`` keeps them always.
"""

from __future__ import annotations

import traceback
from collections.abc import Callable, Iterator
from types import TracebackType

from .errors import RillError

_OURS = "rill_django"
_BETWEEN = frozenset(("contextlib", "copy", "functools"))
"""Modules by way of which we call the code of the library's users."""
_FRAMEWORKS = frozenset(("django", "rest_framework"))
"""What these call for us, such as the driver of a database, is not the users' code."""


def _never() -> bool:
    return False


_are_full: Callable[[], bool] = _never


def set_full(are_full: Callable[[], bool]) -> None:
    """Say when tracebacks are to be left as they are."""
    global _are_full
    _are_full = are_full


def shorten(error: BaseException, *, keeps_first: bool = True) -> None:
    """Take our frames out of the tracebacks of an error, and of what it was raised from.

    Behind the last frame of somebody else's, only an error that we raise on purpose loses ours: its text says
    all there is to say.

    Args:
        error: is changed in place.
        keeps_first: whether the first frame stays: that of the function which catches the error, and which
            Python would put there again.
    """
    if _are_full():
        return
    for one in causes_of(error):
        entries = list(_entries(one.__traceback__))
        kept = _kept(entries, is_ours=isinstance(one, RillError))
        if one is error and keeps_first and entries and entries[0] not in kept:
            kept.insert(0, entries[0])
        one.__traceback__ = _linked(kept)


def shortened_text(error: BaseException) -> str:
    """Return the traceback of an error as a text, without our frames."""
    shorten(error, keeps_first=False)
    return "".join(traceback.format_exception(error))


def causes_of(error: BaseException | None) -> Iterator[BaseException]:
    """Yield an error, what it was raised from or while handling, and so on."""
    seen: set[int] = set()
    while error is not None and id(error) not in seen:
        seen.add(id(error))
        yield error
        error = error.__cause__ or (None if error.__suppress_context__ else error.__context__)


def _kept(entries: list[TracebackType], *, is_ours: bool) -> list[TracebackType]:
    packages = [_package_of(one) for one in entries]
    users = list(_of_users(packages))
    first, last = (users[0], users[-1]) if users else (len(entries), -1)
    return [
        entry
        for index, (entry, name) in enumerate(zip(entries, packages, strict=True))
        if (index >= first and name != _OURS) or (index > last and not is_ours)
    ]


def _of_users(packages: list[str]) -> Iterator[int]:
    """Yield the indexes of frames that are of our users' code, or called from there past us."""
    caller = "us"
    for index, name in enumerate(packages):
        if name == _OURS:
            caller = "us"
        elif caller == "us" and name in _FRAMEWORKS:
            caller = "a framework"
        elif caller != "a framework" and not (caller == "us" and name in _BETWEEN):
            caller = "a user"  # Whatever they call, frameworks included, is theirs.
            yield index


def _package_of(entry: TracebackType) -> str:
    name = str(entry.tb_frame.f_globals.get("__name__", ""))
    return name.partition(".")[0]


def _entries(first: TracebackType | None) -> Iterator[TracebackType]:
    while first is not None:
        yield first
        first = first.tb_next


def _linked(entries: list[TracebackType]) -> TracebackType | None:
    following: TracebackType | None = None
    for entry in reversed(entries):
        entry.tb_next = following
        following = entry
    return following
