"""Projections that follow at once: what tests want that look at rows after a command."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from datetime import datetime
from typing import Any, TypeVar

from django.db import connections, transaction

from rill_django.domain.aggregates import Aggregate
from rill_django.domain.limits import Limits
from rill_django.domain.messages import CommandMessage, EventMessage
from rill_django.domain.results import Ok, Rejected, Result
from rill_django.domain.runtime import Runtime, current, use
from rill_django.repository import CachingRepository

A = TypeVar("A", bound=Aggregate)


class FollowedRuntime(Runtime):
    """Passes everything on to another runtime, and brings projections up to date after each commit.

    Args:
        inner: who does the work.
        names: of the projections; none: all.
    """

    def __init__(self, inner: Runtime, names: Sequence[str] = ()) -> None:
        self._inner = inner
        self._names = tuple(names)
        self._has_begun = False

    def __getattr__(self, name: str) -> Any:
        return getattr(self._inner, name)

    @property
    def limits(self) -> Limits:
        """See `Runtime`."""
        return self._inner.limits

    def update(self, aggregate: A) -> A:
        """See `Runtime`."""
        return self._inner.update(aggregate)

    def get_all(self, aggregates: Iterable[A]) -> list[A]:
        """See `Runtime`."""
        return self._inner.get_all(aggregates)

    def commit(
        self, decision: A | Rejected, *, metadata: Mapping[str, Any] | None = None
    ) -> Result[A]:
        """See `Runtime`."""
        self._begin()
        result = self._inner.commit(decision, metadata=metadata)
        self._follow([result])
        return result

    def commit_all(
        self,
        decisions: Iterable[A | Rejected],
        *,
        metadata: Mapping[str, Any] | None = None,
        occurred_at: Callable[[EventMessage], datetime | None] | None = None,
    ) -> list[Ok[A] | Rejected]:
        """See `Runtime`."""
        self._begin()
        results = self._inner.commit_all(decisions, metadata=metadata, occurred_at=occurred_at)
        self._follow(results)
        return results

    def transact(
        self,
        message: CommandMessage,
        *,
        expected_version: int | None = None,
        idempotency_key: str | None = None,
        guard: Callable[[Any], object] | None = None,
    ) -> Result[Any]:
        """See `Runtime`."""
        self._begin()
        result = self._inner.transact(
            message,
            expected_version=expected_version,
            idempotency_key=idempotency_key,
            guard=guard,
        )
        self._follow([result])
        return result

    def _begin(self) -> None:
        """Before the first command: keep the rows that the test itself has made."""
        if not self._has_begun:
            self._has_begun = True
            keep_rows_of_the_test(self._names)

    def _follow(self, results: Sequence[Result[Any]]) -> None:
        if any(isinstance(one, Ok) and one.events for one in results):
            catch_up_after_transaction(*self._names)


def keep_rows_of_the_test(names: Sequence[str]) -> None:
    """Give projections that have rows their first checkpoint, if the log is empty.

    As no event can have made the rows, the events that come may be applied to them. A worker could not know
    that any more: it would have them made anew.
    """
    from rill_django.projections.registry import current_projections
    from rill_django.projections.trust import trust_rows
    from rill_django.store.tables import Event

    repository = getattr(current(), "repository", None)
    store = getattr(repository, "store", None)
    using = getattr(store, "using", None)
    if using is None or Event.objects.using(using).exists():
        return  # It is in memory, or an earlier command has made the rows.
    for projection in current_projections().named(names):
        trust_rows(projection)


def catch_up_after_transaction(*names: str) -> None:
    """Bring projections up to date now; inside a transaction of the test's own, at its end.

    As with everything that is done ``on_commit``, a ``TestCase`` has to ask for that:
    ``with self.captureOnCommitCallbacks(execute=True)``.
    """
    from rill_django.projections.worker import catch_up  # Its tables can be made only late.
    from rill_django.store.orm import DjangoEventStore, inside_callers_transaction

    using = DjangoEventStore().using
    if inside_callers_transaction(connections[using]):
        # What is not committed has no position yet, but on SQLite.
        transaction.on_commit(lambda: catch_up(*names), using=using)
    else:
        catch_up(*names)


@contextmanager
def projections_up_to_date(*names: str) -> Iterator[None]:
    """Bring projections up to date after each command inside the ``with`` block, in this thread.

    ::

        with projections_up_to_date():
            Account.open.transact("1", owner="Ann")
            assert Balance.objects.get().owner == "Ann"

    Args:
        names: of the projections; none: all.
    """
    with use(FollowedRuntime(current(), names)):
        yield


def forget_aggregates() -> None:
    """Empty the cache of aggregates, if the runtime in use has one."""
    from rill_django.domain.errors import NoRuntime

    try:
        repository = getattr(current(), "repository", None)
    except NoRuntime:  # Django is not set up: a test of plain Python.
        return
    if isinstance(repository, CachingRepository):
        repository.clear()
