"""Fixtures for pytest, there as soon as rill_django is installed. ``-p no:rill_django`` turns them off."""

from __future__ import annotations

from collections.abc import Callable, Iterator

import pytest

from rill_django.dispatch import Dispatcher
from rill_django.testing import following, memory


@pytest.fixture
def memory_runtime() -> Iterator[Dispatcher]:
    """``Account.get``, ``transact`` and ``commit`` work in memory; no database is needed."""
    with memory.memory_runtime() as runtime:
        yield runtime


@pytest.fixture
def catch_up(db: None) -> Callable[..., None]:
    """Return `rill_django.projections.worker.catch_up`, which brings projections up to date."""
    from rill_django.projections.worker import catch_up

    return catch_up


@pytest.fixture
def projections_up_to_date(db: None) -> Iterator[None]:
    """Projections are up to date after each command of the test, in its own thread."""
    with following.projections_up_to_date():
        yield


@pytest.fixture(autouse=True)
def _no_aggregates_of_other_tests() -> None:
    """Empty the cache of aggregates: what it has read may have been rolled back since."""
    following.forget_aggregates()
