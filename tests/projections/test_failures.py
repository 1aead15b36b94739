"""Handlers that fail: tried again, found, stopped or parked; nothing is dropped silently."""

from io import StringIO

import pytest
from django.core.management import CommandError, call_command
from msgspec.structs import replace

from rill_django import Projection, on, upcast
from rill_django.domain.registry import current_registry
from rill_django.models import Checkpoint, ParkedEvent, SkippedEvent
from rill_django.projections.mending import NothingToSkip, retry, skip
from rill_django.projections.projection import PARK
from rill_django.projections.worker import ProjectionStopped, ProjectionWorker, catch_up
from rill_django.testing import isolated_projections
from tests.bank.domain import Account
from tests.bank.models import AuditLine

pytestmark = pytest.mark.django_db


@pytest.fixture(autouse=True)
def quick(monkeypatch):
    monkeypatch.setattr("rill_django.projections.pace.FIRST_PAUSE_SECONDS", 0.001)


@pytest.fixture
def troubled():
    """A projection that fails on what is in ``trouble``, and how often."""
    with isolated_projections():
        trouble: dict[str, int] = {}
        tried: list[str] = []

        class Lines(Projection):
            models = (AuditLine,)

            @on(Account.opened, Account.deposited)
            def happened(self, event):
                tried.append(event.identity)
                if trouble.get(event.identity, 0) > 0:
                    trouble[event.identity] -= 1
                    raise ValueError(f"cannot take {event.identity}")
                AuditLine.objects.create(text=event.identity, position=event.position)

        Lines.trouble, Lines.tried = trouble, tried
        yield Lines


@pytest.fixture
def history():
    for number in "123":
        Account.open.transact(number, "Ann").unwrap()
    for number in "123":
        Account.deposit.transact(number, 5).unwrap()


def lines():
    return [
        text.removeprefix("bank.Account/")
        for text in AuditLine.objects.order_by("pk").values_list("text", flat=True)
    ]


FOREVER = 10**9


def test_a_failure_that_passes_is_not_noticed(troubled, history):
    troubled.trouble["bank.Account/2@0"] = 2
    catch_up()
    assert lines() == ["1@0", "2@0", "3@0", "1@1", "2@1", "3@1"]
    assert Checkpoint.objects.get().state == "running"


def test_the_events_before_the_culprit_are_applied_and_those_after_it_are_not(troubled, history):
    troubled.trouble["bank.Account/3@0"] = FOREVER
    with pytest.raises(ProjectionStopped, match=r"bank\.Account/3@0"):
        catch_up()
    assert lines() == ["1@0", "2@0"]
    checkpoint = Checkpoint.objects.get()
    assert (checkpoint.position, checkpoint.failed_event) == (2, "bank.Account/3@0")
    assert "cannot take bank.Account/3@0" in checkpoint.error


def test_a_culprit_that_the_database_finds_is_found_by_halving(history):
    with isolated_projections():

        class Lines(Projection):
            """Its rows are written together at the end, so nobody says which event it was."""

            models = (AuditLine,)

            @on(Account.opened, Account.deposited)
            def happened(self, event): ...

            def apply(self, events):
                for event in events:
                    if event.identity == "bank.Account/1@1":
                        raise RuntimeError("somewhere in here")
                AuditLine.objects.bulk_create(
                    AuditLine(text=event.identity, position=event.position) for event in events
                )

        with pytest.raises(ProjectionStopped, match="somewhere in here"):
            catch_up()
        assert lines() == ["1@0", "2@0", "3@0"]
        assert Checkpoint.objects.get().failed_event == "bank.Account/1@1"


def test_a_worker_that_runs_takes_it_up_after_a_retry_and_not_before(troubled, history):
    troubled.trouble["bank.Account/2@0"] = FOREVER
    worker = ProjectionWorker()
    worker.run_until_caught_up()
    troubled.tried.clear()
    worker.run_until_caught_up()
    assert troubled.tried == []
    troubled.trouble.clear()
    assert retry(troubled()) == (1, 0, 0)
    worker.run_until_caught_up()
    assert lines() == ["1@0", "2@0", "3@0", "1@1", "2@1", "3@1"]
    assert worker.stopped == {}


def test_a_new_worker_tries_once_more(troubled, history):
    troubled.trouble["bank.Account/2@0"] = FOREVER
    ProjectionWorker().run_until_caught_up()
    troubled.trouble.clear()
    ProjectionWorker().run_until_caught_up()
    assert len(lines()) == 6


def test_parking_holds_back_the_key_alone_and_in_order(troubled, history):
    troubled.on_error = PARK
    troubled.trouble["bank.Account/2@0"] = FOREVER
    catch_up()
    assert lines() == ["1@0", "3@0", "1@1", "3@1"]
    assert list(ParkedEvent.objects.values_list("event", "keys")) == [
        ("bank.Account/2@0", ["bank.Account/2"]),
        ("bank.Account/2@1", ["bank.Account/2"]),
    ]
    assert "cannot take" in ParkedEvent.objects.first().error
    assert Checkpoint.objects.get().position == 6
    Account.deposit.transact("2", 1).unwrap()
    catch_up()
    assert ParkedEvent.objects.count() == 3
    # Again, and it still fails: nothing moves.
    assert retry(troubled()) == (0, 0, 3)
    troubled.trouble.clear()
    assert retry(troubled()) == (0, 3, 0)
    assert lines() == ["1@0", "3@0", "1@1", "3@1", "2@0", "2@1", "2@2"]
    Account.deposit.transact("2", 1).unwrap()
    catch_up()
    assert lines()[-1] == "2@3"


def test_a_retry_applies_what_it_can(troubled, history):
    troubled.on_error = PARK
    troubled.trouble.update({"bank.Account/1@0": FOREVER, "bank.Account/2@0": FOREVER})
    catch_up()
    del troubled.trouble["bank.Account/1@0"]
    assert retry(troubled()) == (0, 2, 2)
    assert lines() == ["3@0", "3@1", "1@0", "1@1"]


def test_skipping_what_it_stands_still_at_is_recorded(troubled, history):
    troubled.trouble["bank.Account/2@0"] = FOREVER
    worker = ProjectionWorker()
    worker.run_until_caught_up()
    skip(troubled(), "bank.Account/2@0", "was a test account")
    worker.run_until_caught_up()
    assert lines() == ["1@0", "3@0", "1@1", "2@1", "3@1"]
    skipped = SkippedEvent.objects.get()
    assert (skipped.event, skipped.position) == ("bank.Account/2@0", 2)
    assert skipped.reason == "was a test account"
    assert "cannot take" in skipped.error


def test_skipping_a_parked_event_frees_those_behind_it(troubled, history):
    troubled.on_error = PARK
    troubled.trouble["bank.Account/2@0"] = FOREVER
    catch_up()
    skip(troubled(), "bank.Account/2@0", "was a test account")
    assert retry(troubled()) == (0, 1, 0)
    assert lines() == ["1@0", "3@0", "1@1", "3@1", "2@1"]
    assert SkippedEvent.objects.get().position == 2


def test_only_an_event_that_is_waited_for_can_be_skipped(troubled, history):
    catch_up()
    with pytest.raises(NothingToSkip, match="neither stands still"):
        skip(troubled(), "bank.Account/2@0", "x")


def test_an_event_upcast_to_several_is_parked_and_retried_as_one(history):
    upcasters = list(current_registry().upcasters)
    try:

        @upcast("bank.Account.deposited")
        def twice(event):
            return [event, event]

        with isolated_projections():
            broken = True

            class Lines(Projection):
                models = (AuditLine,)
                on_error = PARK

                @on(Account.deposited)
                def happened(self, event):
                    AuditLine.objects.create(text=event.identity, position=event.position)
                    if broken and event.number == "2":
                        raise ValueError("cannot")

            catch_up()
            assert lines() == ["1@1", "1@1", "3@1", "3@1"]
            broken = False
            assert retry(Lines()) == (0, 1, 0)
            assert lines() == ["1@1", "1@1", "3@1", "3@1", "2@1", "2@1"]
    finally:
        current_registry().upcasters[:] = upcasters
        current_registry()._upcasted_types.discard("bank.Account.deposited")


def test_an_event_upcast_to_several_of_which_one_cannot_be_read_is_not_applied_in_part(
    troubled, history
):
    upcasters = list(current_registry().upcasters)
    broken = True
    try:

        @upcast("bank.Account.deposited")
        def twice(event):
            second = (
                {**event.data, "amount": "much"} if broken and event.data["number"] == "2" else {}
            )
            return [event, replace(event, data={**event.data, **second})]

        with pytest.raises(ProjectionStopped, match="2@1"):
            catch_up()
        assert lines() == ["1@0", "2@0", "3@0", "1@1", "1@1"]
        broken = False
        catch_up()
        assert lines() == ["1@0", "2@0", "3@0"] + [f"{n}@1" for n in "112233"]
    finally:
        current_registry().upcasters[:] = upcasters
        current_registry()._upcasted_types.discard("bank.Account.deposited")


def command(*arguments):
    out = StringIO()
    call_command("retry_projection", *arguments, stdout=out)
    return out.getvalue()


def test_the_command(troubled, history):
    troubled.trouble["bank.Account/2@0"] = FOREVER
    ProjectionWorker().run_until_caught_up()
    name = troubled.name
    assert "1 taken up again" in command(name)
    ProjectionWorker().run_until_caught_up()
    with pytest.raises(CommandError, match="needs --reason"):
        command(name, "--skip", "bank.Account/2@0")
    said = command(name, "--skip", "bank.Account/2@0", "--reason", "because")
    assert "bank.Account/2@0 will never be applied" in said
    with pytest.raises(CommandError, match="neither stands still"):
        command(name, "--skip", "bank.Account/9@0", "--reason", "because")
    with pytest.raises(CommandError, match="no projection 'nope'"):
        command("nope")


def test_the_command_says_when_events_stay_parked(troubled, history):
    troubled.on_error = PARK
    troubled.trouble["bank.Account/2@0"] = FOREVER
    catch_up()
    with pytest.raises(CommandError, match="failed again"):
        command(troubled.name)
