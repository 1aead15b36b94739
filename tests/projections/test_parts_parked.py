"""Events that are upcast to several: what is parked of them, and applied when it is taken up."""

from zlib import crc32

import pytest
from msgspec.structs import replace

from rill_django import RowProjection, on, upcast
from rill_django.domain.registry import current_registry
from rill_django.models import ParkedEvent
from rill_django.projections.mending import retry
from rill_django.projections.projection import PARK
from rill_django.projections.rebuild import rebuild, verify
from rill_django.projections.rebuilding.dialects import place_for
from rill_django.projections.worker import catch_up
from rill_django.testing import isolated_projections
from tests.bank.domain import Account
from tests.bank.models import Balance

pytestmark = pytest.mark.django_db(transaction=True)

FIRST = "1a"
OTHER = next(f"1{c}" for c in "bcdefgh" if crc32(f"1{c}".encode()) % 2 != crc32(b"1a") % 2)
"""A key in another partition of two."""


@pytest.fixture(autouse=True)
def twice(monkeypatch):
    """One stored event; today's code makes two of it."""
    monkeypatch.setattr("rill_django.projections.pace.FIRST_PAUSE_SECONDS", 0.001)
    upcasters = list(current_registry().upcasters)
    Account.open.transact("1", "Ann").unwrap()

    @upcast("bank.Account.opened")
    def to_two(event):
        return [replace(event, data={**event.data, "number": one}) for one in (FIRST, OTHER)]

    yield
    current_registry().upcasters[:] = upcasters
    current_registry()._upcasted_types.discard("bank.Account.opened")


@pytest.fixture(params=[1, 2])
def rows(request):
    """A projection with so many partitions, which cannot take the first of the two."""
    with isolated_projections():

        class Rows(RowProjection):
            model = Balance
            key = "number"
            on_error = PARK
            partitions = request.param
            broken = True

            @on(Account.opened)
            def opened(self, row, event):
                if event.number == FIRST and self.broken:
                    raise ValueError("cannot")
                row.movements += 1

        yield Rows


def parked():
    return [(one.partition, sorted(one.keys)) for one in ParkedEvent.objects.order_by("partition")]


def parts(rows):
    """What waits: with one partition, both parts of the event; with two, that of the other goes on."""
    if rows.partitions == 1:
        return [(0, sorted([FIRST, OTHER]))]
    return [(crc32(FIRST.encode()) % 2, [FIRST])]


def balances():
    return dict(Balance.objects.values_list("number", "movements"))


def applied(rows):
    return {} if rows.partitions == 1 else {OTHER: 1}


def test_by_a_worker(rows):
    catch_up()
    assert parked() == parts(rows)
    assert balances() == applied(rows)
    rows.broken = False
    assert retry(rows()) == (0, 1, 0)
    assert balances() == {FIRST: 1, OTHER: 1}


def test_by_a_rebuild(rows):
    rows.broken = False
    catch_up()
    rows.broken = True
    rebuild(rows())
    assert parked() == parts(rows)
    assert balances() == applied(rows)
    if rows.partitions == 1 and place_for(rows(), "verify") is not None:
        assert verify(rows()).is_equal
    rows.broken = False
    assert retry(rows()) == (0, 1, 0)
    assert balances() == {FIRST: 1, OTHER: 1}
