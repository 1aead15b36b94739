"""A projection that parks: what its rebuild cannot apply is parked, and all else goes on."""

import pytest
from django.db import connection

from rill_django import Projection, on
from rill_django.models import Checkpoint, ParkedEvent
from rill_django.projections.mending import retry
from rill_django.projections.projection import PARK
from rill_django.projections.rebuild import RebuildInterrupted, rebuild
from rill_django.projections.rebuilding.dialects import place_for
from rill_django.projections.rebuilding.steps import Rebuild
from rill_django.projections.worker import catch_up
from rill_django.testing import isolated_projections
from tests.bank.domain import Account
from tests.bank.models import AuditLine

pytestmark = pytest.mark.django_db(transaction=True)


@pytest.fixture
def lines():
    """A projection that parks, and fails on what is in ``trouble``."""
    with isolated_projections():

        class Lines(Projection):
            models = (AuditLine,)
            on_error = PARK
            trouble = set()

            @on(Account.opened, Account.deposited)
            def happened(self, event):
                if event.identity in self.trouble:
                    raise ValueError(f"cannot take {event.identity}")
                AuditLine.objects.create(text=event.identity, position=event.position)

        yield Lines


@pytest.fixture
def history():
    for number in "123":
        Account.open.transact(number, "Ann").unwrap()
    for _ in range(3):
        for number in "123":
            Account.deposit.transact(number, 5).unwrap()


def texts():
    found = AuditLine.objects.order_by("pk").values_list("text", flat=True)
    return [text.removeprefix("bank.Account/") for text in found]


def parked():
    found = ParkedEvent.objects.order_by("position")
    return [
        (one.projection, one.event.removeprefix("bank.Account/"), bool(one.error)) for one in found
    ]


WITHOUT = ["1@0", "2@0", "3@0", "1@1", "3@1", "1@2", "3@2", "1@3", "3@3"]


@pytest.mark.parametrize("batch_size", [1, 2, 100])
def test_what_it_cannot_apply_is_parked_with_what_is_behind_it(lines, history, batch_size):
    catch_up()
    assert parked() == []
    lines.trouble = {"bank.Account/2@1"}
    assert rebuild(lines(), batch_size=batch_size) == 12
    assert texts() == WITHOUT
    name = lines.name
    assert parked() == [(name, "2@1", True), (name, "2@2", False), (name, "2@3", False)]
    Account.deposit.transact("2", 5).unwrap()
    catch_up()
    assert len(parked()) == 4
    lines.trouble = set()
    assert retry(lines()) == (0, 4, 0)
    assert texts() == [*WITHOUT, "2@1", "2@2", "2@3", "2@4"]


def test_what_was_parked_and_can_be_applied_now_is_parked_no_longer(lines, history):
    lines.trouble = {"bank.Account/2@1", "bank.Account/3@2"}
    catch_up()
    assert len(parked()) == 5
    lines.trouble = {"bank.Account/3@2"}
    rebuild(lines())
    assert [event for _, event, _ in parked()] == ["3@2", "3@3"]
    assert len(texts()) == 10


def test_a_raised_version_parks_and_goes_on(lines, history):
    lines.trouble = {"bank.Account/2@1"}
    catch_up()
    lines.version = 2
    lines.trouble = {"bank.Account/1@3"}
    catch_up()
    assert Checkpoint.objects.get().version == 2
    assert [event for _, event, _ in parked()] == ["1@3"]
    assert len(texts()) == 11


def test_a_failure_that_passes_is_not_noticed(lines, history):
    catch_up()
    happened, failures = lines.handlers["bank.Account.opened"], []

    def fails_twice(self, event):
        if len(failures) < 2:
            failures.append(event)
            raise ValueError("cannot now")
        happened(self, event)

    lines.handlers = {**lines.handlers, "bank.Account.opened": fails_twice}
    rebuild(lines())
    assert parked() == []
    assert len(texts()) == 12


@pytest.mark.skipif("connection.vendor != 'postgresql'", reason="elsewhere it begins anew")
def test_an_interrupted_one_knows_what_it_has_parked(lines, history):
    catch_up()
    lines.trouble = {"bank.Account/2@1"}

    with Rebuild(place_for(lines(), "beside"), batch_size=2) as steps:
        while steps.position < 8:
            steps.step()
        with pytest.raises(RebuildInterrupted):
            steps.run(stop_at_once())
    assert {name for name, _, _ in parked()} == {f"{lines.name} (beside)"}
    lines.trouble = set()  # What is behind it stays behind it.
    rebuild(lines())
    assert texts() == WITHOUT
    assert [event for _, event, _ in parked()] == ["2@1", "2@2", "2@3"]
    assert connection.vendor == "postgresql"


def stop_at_once():
    from threading import Event

    stop = Event()
    stop.set()
    return stop
