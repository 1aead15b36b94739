"""Paging through millions of rows without counting them all."""

from __future__ import annotations

from functools import cached_property
from typing import TYPE_CHECKING, Any

from django.core.paginator import Paginator

if TYPE_CHECKING:
    _Paginator = Paginator[Any]
else:
    _Paginator = Paginator

MOST_COUNTED = 10_000


class AtLeast(int):
    """A number of which only so much is known that it is not smaller."""

    def __str__(self) -> str:
        return f"{int(self)}+"


class CappedPaginator(_Paginator):
    """Counts up to `MOST_COUNTED`; who wants to see older rows narrows the list by filter or search."""

    @cached_property
    def count(self) -> int:
        """Number of rows; `MOST_COUNTED`, shown with a plus, if there are more."""
        rows: Any = self.object_list
        found = int(rows.order_by().values("pk")[: MOST_COUNTED + 1].count())
        return found if found <= MOST_COUNTED else AtLeast(MOST_COUNTED)
