from zlib import crc32

import pytest
from msgspec.structs import replace

from rill_django import RowProjection, on, upcast
from rill_django.domain.registry import current_registry
from rill_django.models import ParkedEvent
from rill_django.projections.mending import retry
from rill_django.projections.projection import PARK
from rill_django.projections.worker import catch_up
from rill_django.testing import isolated_projections
from tests.bank.domain import Account
from tests.bank.models import Balance

pytestmark = pytest.mark.django_db


def test_a_retry_applies_only_the_parts_that_are_parked(monkeypatch):
    monkeypatch.setattr("rill_django.projections.pace.FIRST_PAUSE_SECONDS", 0.001)
    upcasters = list(current_registry().upcasters)
    Account.open.transact("1", "Ann").unwrap()
    try:
        first, second = (
            "1a",
            next(f"1{c}" for c in "bcdefgh" if crc32(f"1{c}".encode()) % 2 != crc32(b"1a") % 2),
        )

        @upcast("bank.Account.opened")
        def twice(event):
            return [replace(event, data={**event.data, "number": one}) for one in (first, second)]

        with isolated_projections():

            class Rows(RowProjection):
                model = Balance
                key = "number"
                on_error = PARK
                partitions = 2
                broken = True

                @on(Account.opened)
                def opened(self, row, event):
                    if event.number == first and self.broken:
                        raise ValueError("cannot")
                    row.movements += 1

            catch_up()
            assert ParkedEvent.objects.get().keys == [first]
            Rows.broken = False
            retry(Rows())
        assert dict(Balance.objects.values_list("number", "movements")) == {first: 1, second: 1}
    finally:
        current_registry().upcasters[:] = upcasters
        current_registry()._upcasted_types.discard("bank.Account.opened")
