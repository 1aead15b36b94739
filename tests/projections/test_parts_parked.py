"""Events that are upcast to several: what is parked of them, and applied when it is taken up."""

from zlib import crc32

import pytest
from django.db import connection
from msgspec.structs import replace

from rill_django import Projection, RowProjection, on, upcast
from rill_django.domain.registry import current_registry
from rill_django.models import ParkedEvent
from rill_django.projections.mending import retry, skip
from rill_django.projections.projection import PARK
from rill_django.projections.rebuild import rebuild, verify
from rill_django.projections.worker import ProjectionStopped, catch_up
from rill_django.testing import isolated_projections
from tests.bank.domain import Account
from tests.bank.models import AuditLine, Balance

pytestmark = pytest.mark.django_db(transaction=True)

FIRST = "1a"
OTHER = next(f"1{c}" for c in "bcdefgh" if crc32(f"1{c}".encode()) % 2 != crc32(b"1a") % 2)
"""A key in another partition of two."""
STREAM = next(
    f"{n}"
    for n in range(99)
    if crc32(f"bank.Account/{n}".encode()) % 2 != crc32(OTHER.encode()) % 2
)
"""An account whose stream is in the first one's partition."""


@pytest.fixture(autouse=True)
def twice(monkeypatch):
    """One stored event; today's code makes two of it."""
    monkeypatch.setattr("rill_django.projections.pace.FIRST_PAUSE_SECONDS", 0.001)
    upcasters = list(current_registry().upcasters)
    Account.open.transact(STREAM, "Ann").unwrap()
    numbers = [FIRST, OTHER]

    @upcast("bank.Account.opened")
    def to_two(event):
        return [replace(event, data={**event.data, "number": one}) for one in numbers]

    yield numbers
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
            broken = {FIRST}

            @on(Account.opened)
            def opened(self, row, event):
                if event.number in self.broken:
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


def bring_up(rows, how):
    if how == "worker":
        catch_up()
    else:
        rebuild(rows())


by_both = pytest.mark.parametrize("how", ["worker", "rebuild"])


@by_both
def test_those_of_a_partition_wait_as_one(rows, how):
    if how == "rebuild":
        rows.broken = set()
        catch_up()
        rows.broken = {FIRST}
    bring_up(rows, how)
    assert parked() == parts(rows)
    assert balances() == applied(rows)
    rows.broken = set()
    assert retry(rows()) == (0, 1, 0)
    assert balances() == {FIRST: 1, OTHER: 1}


@by_both
def test_a_part_whose_key_cannot_be_told_is_not_taken_for_another(twice, how):
    """It is known by its stream, and so waits in that one's partition."""

    def number_of(event):
        if Rows.broken and event.number == FIRST:
            raise ValueError("no key")
        return event.number

    with isolated_projections():

        class Rows(RowProjection):
            model = Balance
            key = number_of
            on_error = PARK
            partitions = 2
            broken = True

            @on(Account.opened)
            def opened(self, row, event):
                row.movements += 1

        bring_up(Rows, how)
        assert balances() == {OTHER: 1}
        Rows.broken = False
        assert retry(Rows()) == (0, 1, 0)
        assert balances() == {FIRST: 1, OTHER: 1}


@by_both
@pytest.mark.parametrize("number", [1, 2])
@pytest.mark.parametrize("bad", [{FIRST}, {"-"}, {FIRST, "-"}])
def test_a_part_that_is_about_nothing_is_neither_lost_nor_doubled(twice, how, number, bad):
    twice[:] = [FIRST, "-"]
    with isolated_projections():

        class Lines(Projection):
            models = (AuditLine,)
            on_error = PARK
            partitions = number
            broken = bad

            def keys_of(self, event):
                return () if event.number == "-" else (event.number,)

            @on(Account.opened)
            def opened(self, event):
                if event.number in self.broken:
                    raise ValueError("cannot")
                AuditLine.objects.create(text=event.number, position=event.position)

        bring_up(Lines, how)
        Lines.broken = set()
        retry(Lines())
        assert not ParkedEvent.objects.exists()
        assert sorted(AuditLine.objects.values_list("text", flat=True)) == ["-", FIRST]


@by_both
def test_what_was_applied_of_an_event_is_not_skipped(rows, how):
    bring_up(rows, how)
    live = balances()
    assert live == applied(rows)
    skip(rows(), f"bank.Account/{STREAM}@0", "cannot be told")
    rows.broken = set()
    rebuild(rows())
    assert balances() == live


def test_what_other_partitions_apply_is_not_skipped_with_what_stopped_one():
    with isolated_projections():

        class Rows(RowProjection):
            model = Balance
            key = "number"
            partitions = 2
            broken = True

            @on(Account.opened)
            def opened(self, row, event):
                if self.broken and event.number == FIRST:
                    raise ValueError("cannot")
                row.movements += 1

        with pytest.raises(ProjectionStopped):
            catch_up()
        assert balances() == {OTHER: 1}
        skip(Rows(), f"bank.Account/{STREAM}@0", "cannot be told")
        Rows.broken = False
        catch_up()
        rebuild(Rows())
        assert balances() == {OTHER: 1}


@by_both
def test_a_verification_leaves_out_what_waits_and_no_more(rows, how):
    if connection.vendor == "sqlite" and connection.is_in_memory_db():
        pytest.skip("nothing can be built beside in memory")
    bring_up(rows, how)
    assert verify(rows()).is_equal


@by_both
def test_parts_in_different_partitions_do_not_wait_for_each_other(rows, how):
    rows.broken = {FIRST, OTHER}
    bring_up(rows, how)
    assert balances() == {}
    rows.broken = {OTHER}
    retry(rows())
    assert balances() == ({} if rows.partitions == 1 else {FIRST: 1})
    rows.broken = set()
    retry(rows())
    assert balances() == {FIRST: 1, OTHER: 1}


def test_they_are_numbered_anew_with_other_partitions(rows):
    rows.broken = {FIRST, OTHER}
    catch_up()
    rows.partitions = 3 - rows.partitions
    catch_up()
    assert [keys for _, keys in parked()] == [sorted([FIRST, OTHER])]
    rows.broken = set()
    retry(rows())
    assert balances() == {FIRST: 1, OTHER: 1}


def test_what_was_parked_before_parts_were_noted_is_known_by_its_keys(rows):
    catch_up()
    ParkedEvent.objects.update(parts=None)
    rows.broken = set()
    retry(rows())
    assert balances() == {FIRST: 1, OTHER: 1}
