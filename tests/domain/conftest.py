"""Every test of the domain starts with a registry of its own, in which only the shop is."""

from collections.abc import Iterator

import pytest

from rill_django.domain.registry import Registry, isolated_registry

with isolated_registry():  # The types of these tests are nobody else's.
    from tests.domain import future, shop


@pytest.fixture(autouse=True)
def registry() -> Iterator[Registry]:
    with isolated_registry() as registry:
        for aggregate in (shop.Account, shop.Everything, future.Journey):
            registry.add(aggregate, aggregate.type_name)
        yield registry
