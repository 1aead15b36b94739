"""All projections there are, by name."""

from __future__ import annotations

from collections.abc import Collection, Iterator
from contextlib import contextmanager
from contextvars import ContextVar
from typing import TYPE_CHECKING

from rill_django.domain.errors import DefinitionError, RillError

if TYPE_CHECKING:
    from rill_django.projections.projection import Projection


class UnknownProjection(RillError, LookupError):
    """No projection has that name."""


class Projections:
    """Projection classes by name."""

    def __init__(self) -> None:
        self._by_name: dict[str, type[Projection]] = {}
        self._inline: tuple[type[Projection], ...] | None = None

    def add(self, projection: type[Projection]) -> None:
        """Register a projection class.

        Raises:
            DefinitionError: the name is taken.
        """
        taken = self._by_name.get(projection.name)
        if taken is not None and not taken.__module__ == projection.__module__ == "__main__":
            raise DefinitionError(
                f"{projection.__module__}.{projection.__qualname__}: the projection name "
                f"{projection.name!r} is already used by {taken.__module__}.{taken.__qualname__}. "
                "Give one of them another name: name = '…'"
            )
        self._by_name[projection.name] = projection
        self._inline = None

    @property
    def inline(self) -> tuple[type[Projection], ...]:
        """Those that commands apply their events to themselves, in the order of their names."""
        if self._inline is None:
            self._inline = tuple(one for _, one in sorted(self._by_name.items()) if one.inline)
        return self._inline

    def named(self, names: Collection[str] = ()) -> list[Projection]:
        """Return the projections of these names, or all, in the order of their names.

        Raises:
            UnknownProjection: there is none of a name.
        """
        for name in names:
            if name not in self._by_name:
                known = ", ".join(sorted(self._by_name)) or "none at all"
                raise UnknownProjection(f"There is no projection {name!r}. There are: {known}.")
        return [self._by_name[name]() for name in sorted(names or self._by_name)]


_default = Projections()
_current: ContextVar[Projections] = ContextVar("rill_projections", default=_default)


def current_projections() -> Projections:
    """Return the registry in use."""
    return _current.get()


@contextmanager
def isolated_projections() -> Iterator[Projections]:
    """Use an empty registry inside the ``with`` block: for tests that define their own."""
    token = _current.set(Projections())
    try:
        yield _current.get()
    finally:
        _current.reset(token)
