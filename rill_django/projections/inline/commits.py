"""Inline projections in the transaction of a commit."""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple
from weakref import WeakKeyDictionary

from django.core.exceptions import ImproperlyConfigured
from django.db import connections
from django.db.backends.base.base import BaseDatabaseWrapper

from rill_django.domain.codec import decode_events
from rill_django.domain.records import StoredEvent
from rill_django.domain.registry import Registry, current_registry
from rill_django.projections.batches import stored_types
from rill_django.projections.inline.applying import Application, Broken
from rill_django.projections.inline.locks import has_old_snapshot
from rill_django.projections.inline.violations import Violation
from rill_django.projections.projection import Projection
from rill_django.projections.registry import Projections, current_projections
from rill_django.store.orm import DjangoEventStore
from rill_django.store.protocol import Append, WrongExpectedVersion

TRIES = 10
"""How often events are applied in all while others make the same rows."""


class _Interest(NamedTuple):
    """Which events inline projections want.

    Attributes:
        registry, upcasters: what it was found out with.
        projections: those there are.
        types: names under which the events may be stored; ``None``: any.
    """

    registry: Registry
    upcasters: int
    projections: Sequence[type[Projection]]
    types: frozenset[str] | None


class InlineProjections:
    """Applies events to inline projections in the transaction that appends them. See `Inline`.

    Args:
        store: the log.
    """

    def __init__(self, store: DjangoEventStore) -> None:
        self._store = store
        self._interests: WeakKeyDictionary[Projections, _Interest] = WeakKeyDictionary()

    def wants(self, appends: Sequence[Append]) -> bool:
        """See `Inline.wants`."""
        projections = current_projections()
        if not projections.inline:
            return False
        types = self._interest(projections).types
        return any(
            types is None or event.type in types for append in appends for event in append.events
        )

    def _interest(self, projections: Projections) -> _Interest:
        registry = current_registry()
        known = self._interests.get(projections)
        if (
            known is None
            or known.projections is not projections.inline
            or known.registry is not registry
            or known.upcasters != len(registry.upcasters)
        ):
            found = [one() for one in projections.inline]
            self._refuse_other_databases(found)
            known = _Interest(
                registry,
                len(registry.upcasters),
                projections.inline,
                stored_types(found, registry),
            )
            self._interests[projections] = known
        return known

    def _refuse_other_databases(self, projections: Sequence[Projection]) -> None:
        for one in projections:
            if one.using != self._store.using:
                raise ImproperlyConfigured(
                    f"{one.name} is an inline projection in the database {one.using!r}, and the log is in "
                    f"{self._store.using!r}: that is not one transaction. Keep both in the same database."
                )

    def append_all(self, appends: Sequence[Append]) -> Sequence[Sequence[StoredEvent]]:
        """See `Inline.append_all`."""
        is_together = True
        last: Violation | None = None
        seen: set[Violation | None] = set()
        for _ in range(TRIES):
            try:
                return self._append(appends, is_together=is_together)
            except Broken as broken:
                failed = broken
            violation = failed.violation(self._connection)
            if violation is None or not failed.is_about_identity(violation):
                if is_together and len(appends) > 1:
                    # Whose events are to blame is found by applying those of each by themselves.
                    is_together = False
                elif violation is None:
                    raise failed.as_failure() from failed.error
                elif not violation.may_be_a_race or violation == last:
                    raise failed.as_refusal(violation) from failed.error
            # Somebody else has made the row, and now it can be seen. Of several rows there may be
            # another one the next time.
            last = violation
            seen.add(violation)
        if violation is not None and len(seen) == 1 and not has_old_snapshot(self._connection):
            # It is seen, and not found: the database takes two keys for equal that Python does not.
            raise failed.as_refusal(violation) from failed.error
        stream = failed.events[-1].stream
        version = self._store.version(stream)
        raise WrongExpectedVersion(stream, version, version) from failed.error

    @property
    def _connection(self) -> BaseDatabaseWrapper:
        connection = connections[self._store.using]
        assert isinstance(connection, BaseDatabaseWrapper)
        return connection

    def _append(
        self, appends: Sequence[Append], *, is_together: bool
    ) -> Sequence[Sequence[StoredEvent]]:
        def apply(stored: Sequence[Sequence[StoredEvent]]) -> None:
            registry = current_registry()
            of_each = [list(decode_events(one, registry)) for one in stored]
            groups = [[event for one in of_each for event in one]] if is_together else of_each
            Application(self._store, [event for one in stored for event in one], groups).run()

        return self._store.append_all(appends, within=apply)
