"""What `DjangoEventStore` does for inline projections: work inside the append, and settled positions."""

import pytest
from django.db import connection, transaction

from rill_django.domain.records import NewEvent
from rill_django.models import Answer, Event
from rill_django.store.orm import DjangoEventStore
from rill_django.store.protocol import Append, WrongExpectedVersion

EVENT = NewEvent("bank.Account.opened", b'{"number": "1", "owner": "Ann"}')


def append(number, within=None, expected_version=-1):
    stream = f"bank.Account/{number}"
    return DjangoEventStore().append_all(
        [Append(stream, expected_version, [EVENT, EVENT])], within=within
    )


@pytest.mark.django_db
@pytest.mark.parametrize("is_inside", [False, True])
def test_it_gets_the_stored_events_in_their_transaction(is_inside):
    seen = []

    def within(stored):
        assert connection.in_atomic_block
        seen.append((stored, Event.objects.count()))

    if is_inside:
        with transaction.atomic():
            told = append(1, within)
    else:
        told = append(1, within)
    ((stored, number),) = seen
    assert stored == told
    assert number == 2
    assert [one.recorded_at for one in stored[0]] == list(
        Event.objects.order_by("version").values_list("recorded_at", flat=True)
    )


@pytest.mark.django_db
def test_what_it_raises_undoes_the_append():
    def fails(stored):
        Answer.objects.create(key="k", command="c", expires_at=stored[0][0].recorded_at)
        raise ZeroDivisionError

    with transaction.atomic():
        with pytest.raises(ZeroDivisionError):
            append(1, fails)
        # The caller's transaction is usable.
        assert not Event.objects.exists()
        assert not Answer.objects.exists()
        append(2)
    assert Event.objects.count() == 2


@pytest.mark.django_db
def test_it_is_not_called_for_nothing():
    def never(stored):
        raise AssertionError(stored)

    append(1)
    with pytest.raises(WrongExpectedVersion):
        append(1, never)
    DjangoEventStore().append_all([Append("bank.Account/1", 1, [])], within=never)
