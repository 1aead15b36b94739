"""What was noted of a log that is not there any more is not taken for anything of the one that is."""

from io import StringIO

import pytest
from django.contrib.auth import get_user_model
from django.core.management import CommandError, call_command
from django.urls import reverse

from rill_django import RowProjection, on
from rill_django.models import Checkpoint, ParkedEvent, SkippedEvent
from rill_django.projections import health
from rill_django.projections.mending import retry, skip
from rill_django.projections.projection import OnError
from rill_django.projections.rebuild import Rebuild, RowsBesideLost, rebuild, verify
from rill_django.projections.rebuilding.dialects import place_for
from rill_django.projections.status import projection_statuses
from rill_django.projections.trust import AnotherLog
from rill_django.projections.waiting import wait_for
from rill_django.projections.worker import ProjectionStopped, ProjectionWorker, catch_up
from rill_django.store.orm import DjangoEventStore
from rill_django.testing import isolated_projections
from tests.bank.domain import Account
from tests.bank.models import Balance
from tests.projections.rebuilds import restore

pytestmark = pytest.mark.django_db(transaction=True)

REFUSED = []


@pytest.fixture(autouse=True)
def _apart():
    with isolated_projections():
        yield
    REFUSED.clear()


def balances_projection(*, parts=1, number=1, policy=OnError.STOP):
    class Balances(RowProjection):
        name = "bank.Balances"
        model = Balance
        key = "number"
        partitions = parts
        version = number
        on_error = policy

        @on(Account.opened)
        def opened(self, row, event):
            row.owner = event.owner

        @on(Account.deposited)
        def deposited(self, row, event):
            if event.number in REFUSED:
                raise ValueError("refused")
            row.balance += event.amount

    return Balances()


def deposit(number, amount=5):
    if not Account.get(number).exists:
        Account.open.transact(number, "Ann").unwrap()
    return Account.deposit.transact(number, amount).unwrap()


def balances():
    return {number: int(one) for number, one in Balance.objects.values_list("number", "balance")}


@pytest.fixture
def history():
    for number in "12345":
        deposit(number)


def grow_again():
    """Have the log go on with other events than it had, past where it was."""
    for number in "678":
        deposit(number)


def test_who_waits_for_a_projection_of_another_log_is_told(history):
    balances_projection()
    catch_up()
    restore(6)
    result = Account.deposit.transact("1", 7)
    DjangoEventStore().head()  # As a worker that reads the log would.
    for _ in range(2):  # Before a worker has looked, and after.
        with pytest.raises(ProjectionStopped, match="rebuild_projections"):
            wait_for("bank.Balances", result, timeout=0)
        with pytest.raises(ProjectionStopped):
            catch_up()


def test_monitors_are_told_what_is_the_matter(history):
    balances_projection()
    catch_up()
    restore(6)
    for _ in range(2):
        (problem,) = health.check()
        assert "has seen another log" in problem.text
        with pytest.raises(ProjectionStopped):
            catch_up()


@pytest.mark.parametrize("is_longer", [False, True])
def test_other_partitions_do_not_make_it_trusted(history, is_longer):
    balances_projection(parts=2)
    catch_up()
    before = balances()
    restore(6)
    if is_longer:
        grow_again()
    with isolated_projections():
        projection = balances_projection(parts=3)
        with pytest.raises(ProjectionStopped, match="rebuild_projections"):
            catch_up()
        assert balances() == before
        grow_again()
        with pytest.raises(ProjectionStopped, match="rebuild_projections"):
            catch_up()
        (status,) = projection_statuses()
        assert status.description == "stopped"
        rebuild(projection)
        again = 10 if is_longer else 5
        assert balances() == {**dict.fromkeys("123", 5), **dict.fromkeys("678", again)}


def test_parked_events_are_not_others_at_their_place(history):
    projection = balances_projection(policy=OnError.PARK)
    REFUSED.append("5")
    catch_up()
    assert ParkedEvent.objects.get().event == "bank.Account/5@1"
    restore(6)
    grow_again()
    REFUSED.clear()
    with pytest.raises(AnotherLog, match="rebuild_projections"):
        retry(projection)
    assert ParkedEvent.objects.get().event == "bank.Account/5@1"
    with pytest.raises(CommandError, match="rebuild_projections"):
        call_command("retry_projection", "bank.Balances", stdout=StringIO())
    rebuild(projection)
    assert not ParkedEvent.objects.exists()
    assert balances() == dict.fromkeys("123678", 5)


@pytest.mark.parametrize("is_longer", [False, True])
def test_what_it_stands_still_at_cannot_be_skipped(history, is_longer, client):
    projection = balances_projection()
    REFUSED.append("5")
    with pytest.raises(ProjectionStopped):
        catch_up()
    assert Checkpoint.objects.get().failed_event == "bank.Account/5@1"
    restore(6)
    if is_longer:
        grow_again()
    with pytest.raises(AnotherLog, match="rebuild_projections"):
        skip(projection, "bank.Account/5@1", "a test")
    with pytest.raises(CommandError, match="rebuild_projections"):
        call_command(
            "retry_projection",
            "bank.Balances",
            skip="bank.Account/5@1",
            reason="a test",
            stdout=StringIO(),
        )
    with pytest.raises(AnotherLog):
        retry(projection)
    client.force_login(get_user_model().objects.create_superuser("root"))
    page = reverse("admin:rill_django_checkpoint_projection", args=("bank.Balances",))
    assert "rebuild_projections" in client.get(page).content.decode()
    assert not SkippedEvent.objects.exists()
    assert balances() == {**dict.fromkeys("1234", 5), "5": 0}


@pytest.mark.parametrize("way", ["beside", "in place", "new version"])
def test_a_skipped_event_leaves_out_no_other_at_its_place(history, way):
    projection = balances_projection()
    REFUSED.append("5")
    with pytest.raises(ProjectionStopped):
        catch_up()
    skip(projection, "bank.Account/5@1", "a test")
    catch_up()
    REFUSED.clear()
    restore(6)
    grow_again()
    if way == "new version":
        with isolated_projections():
            balances_projection(number=2)
            catch_up()
    else:
        rebuild(projection, in_place=way == "in place")
    assert balances() == dict.fromkeys("123678", 5)


def test_a_skipped_event_is_left_out_where_it_comes_again(history):
    projection = balances_projection()
    REFUSED.append("5")
    with pytest.raises(ProjectionStopped):
        catch_up()
    skip(projection, "bank.Account/5@1", "a test")
    rebuild(projection)
    assert balances() == {**dict.fromkeys("1234", 5), "5": 0}


@pytest.mark.parametrize("is_longer", [False, True])
def test_rows_beside_are_not_gone_on_with(history, is_longer):
    """A rebuild that is under way while the log is restored."""
    projection = balances_projection()
    catch_up()
    place = place_for(projection, "beside")
    if place is None:
        pytest.skip("nothing is built beside here")
    with Rebuild(place, batch_size=4) as steps:
        while steps.position < 8:
            assert steps.step()
        restore(6)
        if is_longer:
            grow_again()
        with pytest.raises(RowsBesideLost, match="restored meanwhile"):
            steps.run()
    rebuild(projection)
    assert balances() == dict.fromkeys("123678" if is_longer else "123", 5)


@pytest.mark.parametrize("is_longer", [False, True])
def test_a_new_version_begins_anew_when_the_log_is_restored(history, is_longer, monkeypatch):
    balances_projection()
    catch_up()
    with isolated_projections():
        balances_projection(number=2)
        worker = ProjectionWorker(batch_size=2)
        for _ in range(4):
            worker.run_once()
        restore(6)
        if is_longer:
            grow_again()
        worker.run_until_caught_up()
        assert not worker.stopped
        assert balances() == dict.fromkeys("123678" if is_longer else "123", 5)


@pytest.mark.parametrize("is_longer", [False, True])
def test_a_verification_says_so(history, is_longer):
    projection = balances_projection()
    catch_up()
    restore(6)
    if is_longer:
        grow_again()
    if place_for(projection, "verify") is None:
        pytest.skip("nothing is built beside here")
    with pytest.raises(AnotherLog, match="rebuild_projections"):
        verify(projection)
    with pytest.raises(CommandError, match="rebuild_projections"):
        call_command("rebuild_projections", "bank.Balances", verify=True, stdout=StringIO())


def test_one_partition_that_never_moved_does_not_stand_for_all(history):
    """The others were lost: what they had applied would be applied once more."""
    balances_projection(parts=3)
    REFUSED.extend("12")
    with pytest.raises(ProjectionStopped):
        catch_up()
    before = balances()
    Checkpoint.objects.exclude(partition=0).delete()
    Checkpoint.objects.update(position=0, seen="")
    REFUSED.clear()
    catch_up()
    assert before
    assert balances() == dict.fromkeys("12345", 5)
