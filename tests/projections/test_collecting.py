"""How often Python looks for garbage while projections work."""

import gc

import pytest

from rill_django.projections.collecting import ALLOCATIONS, rare_collections


@pytest.fixture
def thresholds():
    before = gc.get_threshold()
    yield gc.set_threshold
    gc.set_threshold(*before)


def test_it_looks_less_often_and_then_as_before(thresholds):
    thresholds(700, 10, 10)

    @rare_collections()
    def work():
        return gc.get_threshold()

    assert work() == work() == (ALLOCATIONS, 10, 10)
    assert gc.get_threshold() == (700, 10, 10)
    with pytest.raises(ZeroDivisionError), rare_collections():
        raise ZeroDivisionError
    assert gc.get_threshold() == (700, 10, 10)


@pytest.mark.parametrize("first", [0, 2 * ALLOCATIONS])
def test_what_somebody_has_set_on_purpose_stays(thresholds, first):
    thresholds(first, 10, 10)
    with rare_collections():
        assert gc.get_threshold()[0] == first
