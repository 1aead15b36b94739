"""A repository in memory, in the place of the database."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

from rill_django.dispatch import Dispatcher
from rill_django.domain.runtime import use
from rill_django.repository import Repository
from rill_django.store.memory import MemoryEventStore
from rill_django.triggers import fire_triggers


@contextmanager
def memory_runtime(*, triggers: bool = True) -> Iterator[Dispatcher]:
    """Have ``Account.get``, ``transact`` and ``commit`` work in memory inside the ``with`` block.

    Needs no database and no Django settings. Source: Rill/Wheel's ``ephemeral-repository``.

    Args:
        triggers: whether triggers fire.
    """
    listeners = [fire_triggers] if triggers else []
    dispatcher = Dispatcher(Repository(MemoryEventStore(), listeners))
    with use(dispatcher):
        yield dispatcher
