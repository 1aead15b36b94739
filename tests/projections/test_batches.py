"""How much of the log is read at once."""

import tracemalloc

import pytest
from django.db.models.functions import Length

from rill_django import Aggregate, Projection, RowProjection, event, key, on
from rill_django.projections.batches import read_batch
from rill_django.projections.rebuild import rebuild
from rill_django.projections.rebuilding.verification import verify
from rill_django.projections.worker import catch_up
from rill_django.repository import Repository
from rill_django.store.orm import DjangoEventStore
from rill_django.store.pages import PAGE_BYTES
from rill_django.testing import isolated_projections
from tests.bank.domain import Account
from tests.bank.models import AuditLine, Sample

LONG = 900_000
"""Bytes of a payload; a megabyte is allowed by default."""

LETTERS = 60


class Letter(Aggregate, name="batches.Letter"):
    number: str = key()

    @event
    def written(self, text: str) -> None: ...


@pytest.fixture
def letters():
    """More than fifty megabytes, of texts that a database compresses to a hundredth."""
    with isolated_projections():

        class Letters(Projection):
            models = (AuditLine,)

            @on(Letter.written)
            def written(self, event):
                text = f"{event.number}: {len(event.text)}"
                AuditLine.objects.create(text=text, position=event.position)

        repository = Repository(DjangoEventStore())
        for number in range(LETTERS):
            repository.commit(Letter(str(number)).written("x" * LONG)).unwrap()
        yield Letters


def peak_of(work):
    """Return the most bytes that Python held at once while the work was done."""
    tracemalloc.start()
    try:
        work()
        return tracemalloc.get_traced_memory()[1]
    finally:
        tracemalloc.stop()


@pytest.mark.django_db(transaction=True)
class TestLongPayloads:
    """A page holds four megabytes of them, and each comes as text, as bytes, and as a value."""

    def test_a_worker_holds_few_of_them(self, letters):
        assert peak_of(catch_up) < 8 * PAGE_BYTES < LETTERS * LONG
        assert AuditLine.objects.count() == LETTERS

    def test_a_rebuild_holds_few_of_them(self, letters):
        catch_up()
        assert peak_of(lambda: rebuild(letters())) < 8 * PAGE_BYTES
        assert AuditLine.objects.count() == LETTERS

    def test_a_verification_holds_few_of_them(self, letters):
        catch_up()
        differences = []
        assert peak_of(lambda: differences.append(verify(letters()))) < 8 * PAGE_BYTES
        assert differences[0].is_equal

    def test_a_reader_and_a_subscription_hold_few_of_them(self, letters):
        def read():
            assert sum(len(one.text) for one in DjangoEventStore().read()) == LETTERS * LONG

        def follow():
            subscription = DjangoEventStore().subscribe()
            for number, _ in enumerate(subscription, start=1):
                if number == LETTERS:
                    subscription.stop()

        assert peak_of(read) < 8 * PAGE_BYTES
        assert peak_of(follow) < 8 * PAGE_BYTES


class Page(Aggregate, name="batches.Page"):
    number: str = key()

    @event
    def written(self, text: str) -> None: ...

    @event
    def seen(self) -> None: ...


@pytest.mark.django_db(transaction=True)
class TestLongRows:
    """What rows hold is bounded as well, for they outlive the events that made them."""

    @pytest.fixture(autouse=True)
    def pages(self):
        with isolated_projections():

            class Pages(RowProjection):
                model = Sample
                key = "number"

                @on(Page.written)
                def written(self, row, event):
                    row.trace = event.text

                @on(Page.seen)
                def seen(self, row, event):
                    row.count += 1

            yield Pages

    @pytest.fixture(params=["catch up", "rebuild"])
    def work(self, request, pages):
        return catch_up if request.param == "catch up" else lambda: rebuild(pages())

    def test_a_worker_and_a_rebuild_hold_few_of_them(self, work):
        repository = Repository(DjangoEventStore())
        for number in range(LETTERS):
            repository.commit(Page(str(number)).written("x" * LONG)).unwrap()
        assert peak_of(work) < 12 * PAGE_BYTES
        assert Sample.objects.count() == LETTERS
        # The events that change them now are short.
        for _ in range(2):
            for number in range(LETTERS):
                repository.commit(repository.get(Page, str(number)).seen()).unwrap()
        assert peak_of(work) < 12 * PAGE_BYTES
        counts = Sample.objects.annotate(length=Length("trace")).values_list("count", "length")
        assert set(counts) == {(2, LONG)}


@pytest.mark.django_db
class TestBatches:
    @pytest.fixture(autouse=True)
    def projection(self):
        with isolated_projections():

            class Closed(Projection):
                models = (AuditLine,)

                @on(Account.closed)
                def closed(self, event): ...

            yield Closed()

    @pytest.fixture
    def head(self):
        for number in range(30):
            Account.open.transact(str(number), "Ann").unwrap()
        Account.close.transact("7").unwrap()
        return DjangoEventStore().head()

    def test_looking_for_few_events_gets_on_step_by_step(self, projection, head):
        def read(position):
            return read_batch(DjangoEventStore(), [projection], position, head, 10, look_at=12)

        first = read(0)
        assert (list(first.events), first.end) == ([], 12)
        assert read(12).end == 24
        last = read(24)
        assert [one.type for one in last.events] == ["bank.Account.closed"]
        assert last.end == head == 31

    def test_nothing_behind_the_head_that_was_asked_for(self, projection, head):
        batch = read_batch(DjangoEventStore(), [projection], 0, head - 1, 10)
        assert (list(batch.events), batch.end) == ([], head - 1)
