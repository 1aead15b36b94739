"""The one door from the domain to the outside.

``Account.get(…)``, ``Account.withdraw.transact(…)`` and ``self.read(…)`` need somebody who fetches and
stores. The domain knows that somebody only as the `Runtime` protocol; the Django side sets the default,
and a test or a script may use another one for a while.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import contextmanager
from contextvars import ContextVar
from datetime import datetime
from typing import TYPE_CHECKING, Any, Protocol, TypeVar

from .deciding import outside
from .errors import NoRuntime
from .tracebacks import shorten

if TYPE_CHECKING:
    from .aggregates import Aggregate
    from .limits import Limits
    from .messages import CommandMessage, EventMessage
    from .results import Ok, Rejected, Result

A = TypeVar("A", bound="Aggregate")


class Runtime(Protocol):
    """Fetches aggregates and carries out command messages."""

    @property
    def limits(self) -> Limits:
        """What a single commit may be."""

    def update(self, aggregate: A) -> A:
        """Return the aggregate with all events applied that its stream has beyond its version."""

    def commit(
        self, decision: A | Rejected, *, metadata: Mapping[str, Any] | None = None
    ) -> Result[A]:
        """Store the new events of an aggregate; pass a rejection through."""

    def get_all(self, aggregates: Iterable[A]) -> list[A]:
        """Fetch many aggregates at once, given their empty descriptors; in the same order."""

    def commit_all(
        self,
        decisions: Iterable[A | Rejected],
        *,
        metadata: Mapping[str, Any] | None = None,
        occurred_at: Callable[[EventMessage], datetime | None] | None = None,
    ) -> list[Ok[A] | Rejected]:
        """Store the new events of many aggregates, all of them or none."""

    def transact(
        self,
        message: CommandMessage,
        *,
        expected_version: int | None = None,
        idempotency_key: str | None = None,
        guard: Callable[[Any], object] | None = None,
    ) -> Result[Any]:
        """Fetch the message's aggregate, let it decide, and commit."""


_default: Runtime | None = None
_current: ContextVar[Runtime | None] = ContextVar("rill_runtime", default=None)


def set_default(runtime: Runtime | None) -> None:
    """Make ``runtime`` the one that is used where no other is in use."""
    global _default
    _default = runtime


def current_or_none() -> Runtime | None:
    """Return the runtime in use, if there is one."""
    runtime = _current.get()
    return _default if runtime is None else runtime


def current() -> Runtime:
    """Return the runtime in use.

    Raises:
        NoRuntime: there is none.
    """
    runtime = current_or_none()
    if runtime is None:
        raise NoRuntime(
            "There is no repository to fetch from. Add 'rill_django' to INSTALLED_APPS and call "
            "django.setup(), or use a repository of your own: "
            "with rill_django.testing.memory_runtime(): …"
        )
    return runtime


@contextmanager
def use(runtime: Runtime) -> Iterator[Runtime]:
    """Use ``runtime`` inside the ``with`` block, in this thread or task only."""
    token = _current.set(runtime)
    try:
        yield runtime
    finally:
        _current.reset(token)


def transact(
    message: CommandMessage[A],
    *,
    expected_version: int | None = None,
    idempotency_key: str | None = None,
    guard: Callable[[A], object] | None = None,
) -> Result[A]:
    """Carry out a command message on the repository in use. See `Dispatcher.transact`."""
    __tracebackhide__ = True
    try:
        return current().transact(
            message,
            expected_version=expected_version,
            idempotency_key=idempotency_key,
            guard=guard,
        )
    except Exception as error:
        shorten(error)
        raise


def commit(decision: A | Rejected, *, metadata: Mapping[str, Any] | None = None) -> Result[A]:
    """Store what a command returned, in the repository in use. See `Repository.commit`."""
    __tracebackhide__ = True
    try:
        return current().commit(decision, metadata=metadata)
    except Exception as error:
        shorten(error)
        raise


def get_all(aggregates: Iterable[A]) -> list[A]:
    """Fetch many aggregates at once: ``get_all(Account(number) for number in numbers)``."""
    __tracebackhide__ = True
    try:
        empty = list(aggregates)
        with outside():
            return current().get_all(empty)
    except Exception as error:
        shorten(error)
        raise


def commit_all(
    decisions: Iterable[A | Rejected],
    *,
    metadata: Mapping[str, Any] | None = None,
    occurred_at: Callable[[EventMessage], datetime | None] | None = None,
) -> list[Ok[A] | Rejected]:
    """Store what commands of many aggregates returned, all or nothing. See `Repository.commit_all`.

    Raises:
        ConflictError: one of them has moved on since it was fetched. Nothing is stored.
    """
    __tracebackhide__ = True
    try:
        return current().commit_all(decisions, metadata=metadata, occurred_at=occurred_at)
    except Exception as error:
        shorten(error)
        raise
