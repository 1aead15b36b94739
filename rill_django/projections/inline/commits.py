"""Inline projections in the transaction of a commit."""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple
from weakref import WeakKeyDictionary

from django.core.exceptions import ImproperlyConfigured
from django.db import connections

from rill_django.domain.codec import decode_events
from rill_django.domain.records import StoredEvent
from rill_django.domain.registry import Registry, current_registry
from rill_django.projections.batches import stored_types
from rill_django.projections.inline.applying import Application, Broken
from rill_django.projections.inline.violations import Violation
from rill_django.projections.projection import Projection
from rill_django.projections.registry import Projections, current_projections
from rill_django.repository.inline import Refused
from rill_django.store.orm import DjangoEventStore
from rill_django.store.protocol import Append


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
        try:
            return self._append(appends, is_together=True)
        except Broken as broken:
            # Maybe somebody else has made the same row at the same moment, and now it can be seen. And of
            # several aggregates the one that is to blame is found by applying their events one by one.
            if len(appends) == 1 and not self._violation(broken).may_be_a_race:
                raise self._refusal(broken) from broken.error
        try:
            return self._append(appends, is_together=False)
        except Broken as again:
            raise self._refusal(again) from again.error

    def _violation(self, broken: Broken) -> Violation:
        found = broken.violation(connections[self._store.using])
        if found is None:
            raise broken.as_failure() from broken.error
        return found

    def _refusal(self, broken: Broken) -> Refused:
        return broken.as_refusal(self._violation(broken))

    def _append(
        self, appends: Sequence[Append], *, is_together: bool
    ) -> Sequence[Sequence[StoredEvent]]:
        def apply(stored: Sequence[Sequence[StoredEvent]]) -> None:
            registry = current_registry()
            of_each = [list(decode_events(one, registry)) for one in stored]
            groups = [[event for one in of_each for event in one]] if is_together else of_each
            Application(self._store, groups).run()

        return self._store.append_all(appends, within=apply)
