"""What handlers return: nothing, or that their row is to be deleted."""

from __future__ import annotations

import inspect
from collections.abc import Callable
from enum import Enum
from typing import Any, Final

from rill_django.domain.errors import RillError


class Deletion(Enum):
    """The type of `DELETE`."""

    DELETE = "DELETE"

    def __repr__(self) -> str:
        return self.name


DELETE: Final = Deletion.DELETE
"""What a handler of a `RowProjection` returns to have its row deleted."""


class WrongResult(RillError, TypeError):
    """A handler has returned something that would have had no effect."""


def refuse_result(handler: Callable[..., Any], result: object, *, has_row: bool = False) -> None:
    """Look at what a handler has returned, which is not ``None``.

    A free handler may return what its last call gave it, but not work that was never done.

    Args:
        handler: which one.
        result: what it has returned.
        has_row: it is one of a `RowProjection`.

    Raises:
        WrongResult: it means nothing.
    """
    name = getattr(handler, "__qualname__", repr(handler))
    if inspect.iscoroutine(result):
        result.close()  # Or Python warns that nobody has awaited it.
    if inspect.isawaitable(result) or inspect.isgenerator(result) or inspect.isasyncgen(result):
        raise WrongResult(
            f"{name} returned {result!r}, which nobody runs. A handler does its work before it returns."
        )
    if has_row:
        raise WrongResult(
            f"{name} returned {result!r}. A handler of a RowProjection returns nothing, and changes the row "
            "that it was given; or DELETE, which has it deleted."
        )
    if result is DELETE:
        raise WrongResult(
            f"{name} returned DELETE, which is for handlers of a RowProjection. Here nothing would be "
            "deleted: a free handler deletes rows itself, e.g. Model.objects.filter(…).delete()."
        )
