"""Paging through millions of rows without counting them all."""

from __future__ import annotations

from functools import cached_property
from typing import TYPE_CHECKING, Any

from django.contrib.admin.views.main import ChangeList
from django.core.paginator import Paginator
from django.db.models import QuerySet
from django.http import HttpRequest

if TYPE_CHECKING:
    _Paginator = Paginator[Any]
else:
    _Paginator = Paginator

MOST_COUNTED = 10_000

_BY_KEY = {"id", "-id", "pk", "-pk"}


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
        if set(rows.query.order_by) <= _BY_KEY:
            rows = rows.order_by()  # Any other order says which index to count by.
        found = int(rows.values("pk")[: MOST_COUNTED + 1].count())
        return found if found <= MOST_COUNTED else AtLeast(MOST_COUNTED)


class EventList(ChangeList):
    """The latest first; of one stream by version, which is the same and has an index.

    Django would go on to order by key, and MariaDB would sort the whole stream for it.
    """

    def get_ordering(self, request: HttpRequest, queryset: QuerySet[Any]) -> list[Any]:
        """See Django."""
        if "stream__exact" in request.GET:
            return ["-version"]
        return list(super().get_ordering(request, queryset))
