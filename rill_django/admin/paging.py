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


class CappedPaginator(_Paginator):
    """Counts up to `MOST_COUNTED`; who wants to see older rows narrows the list by filter or search."""

    @cached_property
    def count(self) -> int:
        """Number of rows, or `MOST_COUNTED` if there are more."""
        rows: Any = self.object_list
        return int(rows.order_by()[:MOST_COUNTED].count())
