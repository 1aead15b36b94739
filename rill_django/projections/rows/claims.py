"""Which row has or had which unique values."""

from __future__ import annotations

from collections.abc import Iterable, Sequence

from rill_django.projections.rows.entries import Key, Values


class Claims:
    """Which row has or had which unique values."""

    def __init__(self, sets: Sequence[tuple[int, ...]]) -> None:
        self._sets = sets
        self._owners: dict[tuple[int, Values], Key] = {}
        self._of: dict[Key, set[tuple[int, Values]]] = {}
        self._now: dict[Key, set[tuple[int, Values]]] = {}
        self._unwritten: dict[Key, set[tuple[int, Values]]] = {}
        self.must_write = False

    def _claims_of(self, values: Values) -> set[tuple[int, Values]]:
        claims = set()
        for number, indexes in enumerate(self._sets):
            one = tuple(values[index] for index in indexes)
            if None not in one:
                claims.add((number, one))
        return claims

    def are_taken(self, key: Key, values: Values) -> bool:
        """Whether another row in memory has these values, or still has them in the database."""
        return any(self._owners.get(one, key) != key for one in self._claims_of(values))

    def gives_up_unwritten(self, key: Key, values: Values | None) -> bool:
        """Whether the row leaves values that the database has not seen yet.

        A row that is not in memory may have the same ones. If they are never written, nobody notices.
        """
        unwritten = self._unwritten.get(key)
        if not unwritten:
            return False
        return values is None or not unwritten <= self._claims_of(values)

    def add(self, key: Key, values: Values, *, are_stored: bool = False) -> None:
        """Note a row's values; those that it had stay noted until they are written."""
        claims = self._claims_of(values)
        if not are_stored:
            self._unwritten.setdefault(key, set()).update(claims - self._now.get(key, set()))
        self._now[key] = claims
        self._of.setdefault(key, set()).update(claims)
        for one in claims:
            self._owners[one] = key

    def remove(self, key: Key) -> None:
        """Forget a row that is deleted: deletions are written first."""
        self._now.pop(key, None)
        self._unwritten.pop(key, None)
        self._release(self._of.pop(key, set()), key)

    def settle(self, keys: Iterable[Key]) -> None:
        """Forget what these rows had before: they are written."""
        for key in keys:
            self._unwritten.pop(key, None)
            now = self._now.get(key, set())
            self._release(self._of.get(key, set()) - now, key)
            if now:
                self._of[key] = set(now)

    def _release(self, claims: Iterable[tuple[int, Values]], key: Key) -> None:
        for one in claims:
            if self._owners.get(one) == key:
                del self._owners[one]

    def clear(self) -> None:
        """Forget all."""
        self._owners.clear()
        self._of.clear()
        self._now.clear()
        self._unwritten.clear()
