"""A checkpoint is believed only if the log confirms it, and rows only if there is a checkpoint."""

from contextlib import ExitStack
from io import StringIO

import pytest
from django.contrib.auth import get_user_model
from django.core.management import CommandError, call_command
from django.db import connection
from django.test.utils import CaptureQueriesContext
from django.urls import reverse

from rill_django import Projection, RowProjection, on
from rill_django.models import Checkpoint
from rill_django.projections import health, partitions
from rill_django.projections.rebuild import rebuild
from rill_django.projections.status import projection_statuses
from rill_django.projections.worker import ProjectionStopped, ProjectionWorker, catch_up
from rill_django.testing import isolated_projections
from tests.bank.domain import Account
from tests.bank.models import AuditLine, Balance
from tests.projections.rebuilds import restore

pytestmark = pytest.mark.django_db(transaction=True)


@pytest.fixture
def defined():
    """Define projections one after the other, as releases of the code do."""
    stack = ExitStack()

    def begin(name="bank.Balances", **options):
        stack.close()
        stack.enter_context(isolated_projections())
        return _balances(name, **options)

    with stack:
        yield begin


def _balances(projection_name, *, parts=1, is_inline=False, number=1):
    class Balances(RowProjection):
        name = projection_name
        model = Balance
        key = "number"
        partitions = parts
        inline = is_inline
        version = number

        @on(Account.opened)
        def opened(self, row, event):
            row.owner = event.owner

        @on(Account.deposited)
        def deposited(self, row, event):
            row.balance += event.amount

    return Balances()


def deposit(number, amount=5):
    if not Account.get(number).exists:
        Account.open.transact(number, "Ann").unwrap()
    Account.deposit.transact(number, amount).unwrap()


def balances():
    return {number: int(one) for number, one in Balance.objects.values_list("number", "balance")}


@pytest.fixture
def history():
    for number in "12345":
        deposit(number)
    return dict.fromkeys("12345", 5)


class TestRowsWithoutACheckpoint:
    """To apply the log to them once more would count everything twice."""

    @pytest.mark.parametrize("parts", [1, 3])
    def test_of_a_projection_that_was_renamed_are_built_anew(self, defined, history, parts):
        defined("bank.OldName", parts=parts)
        catch_up()
        defined("bank.NewName", parts=parts)
        catch_up()
        assert balances() == history
        deposit("1")
        catch_up()
        assert balances() == {**history, "1": 10}
        (status,) = projection_statuses()
        assert (status.name, status.description, status.version) == (
            "bank.NewName",
            "up to date",
            1,
        )

    def test_that_keeps_its_name_goes_on(self, defined, history):
        defined("bank.OldName")
        catch_up()
        Balance.objects.filter(number="1").update(owner="as it was")
        defined("bank.OldName")
        deposit("1")
        catch_up()
        assert balances() == {**history, "1": 10}
        assert Balance.objects.get(number="1").owner == "as it was"

    def test_whose_checkpoint_was_lost_are_built_anew(self, defined, history):
        defined()
        catch_up()
        Checkpoint.objects.all().delete()
        catch_up()
        assert balances() == history

    @pytest.mark.parametrize("lost", [0, 1, 2])
    def test_whose_checkpoint_of_one_partition_was_lost_are_built_anew(
        self, defined, history, lost
    ):
        defined(parts=3)
        catch_up()
        deposit("1")
        Checkpoint.objects.filter(partition=lost).delete()
        catch_up()
        assert balances() == {**history, "1": 10}
        assert Checkpoint.objects.filter(is_beside=False).count() == 3

    def test_whose_last_checkpoints_go_while_they_are_looked_at(
        self, defined, history, monkeypatch
    ):
        """By somebody who deletes them one after the other: a worker that runs is not ended by it."""
        defined(parts=3)
        catch_up()
        worker = ProjectionWorker()
        Checkpoint.objects.filter(partition=1).delete()
        begin = partitions.begin_anew_if_incomplete

        def too_late(projection):
            Checkpoint.objects.all().delete()
            begin(projection)

        monkeypatch.setattr(partitions, "begin_anew_if_incomplete", too_late)
        worker.run_once()
        monkeypatch.undo()
        worker.run_until_caught_up()
        assert balances() == history
        assert not worker.stopped

    def test_that_a_migration_put_there_are_no_rows_of_the_log(self, defined, history):
        defined()
        Balance.objects.create(number="9", owner="nobody", balance=1)
        catch_up()
        assert balances() == history

    def test_say_that_they_are_not_built(self, defined, history, caplog):
        defined()
        catch_up()
        Checkpoint.objects.all().delete()
        Checkpoint.objects.create(name="bank.Balances", version=0)
        (status,) = projection_statuses()
        assert (status.description, status.is_built) == ("not built", False)
        Checkpoint.objects.all().delete()
        catch_up()
        assert "has rows and no checkpoint" in caplog.text
        assert "name = '…'" in caplog.text

    def test_of_an_inline_projection_are_built_anew(self, defined, history, caplog):
        defined("bank.OldName", is_inline=True)
        catch_up()
        deposit("1")
        assert balances() == {**history, "1": 10}
        defined("bank.NewName", is_inline=True)
        deposit("2")  # Not applied by the command: the rows are not known to be these.
        assert "has rows, and nobody knows which events made them" in caplog.text
        catch_up()
        deposit("3")
        assert balances() == {**history, "1": 10, "2": 10, "3": 10}

    def test_of_free_handlers_are_built_anew(self, history):
        for _ in range(2):
            with isolated_projections():

                class Lines(Projection):
                    name = f"bank.Lines{Checkpoint.objects.count()}"
                    models = (AuditLine,)

                    @on(Account.deposited)
                    def happened(self, event):
                        AuditLine.objects.create(text=event.identity, position=event.position)

                catch_up()
        assert AuditLine.objects.count() == len(history)


class TestACheckpointThatWasSetBack:
    """By hand, to have the log applied once more: to rows that have all of it."""

    @pytest.mark.parametrize("position", [0, -7, 4])
    @pytest.mark.parametrize("parts", [1, 2])
    def test_stops_the_projection_until_its_rows_are_made_anew(
        self, defined, history, position, parts
    ):
        projection = defined(parts=parts)
        catch_up()
        Checkpoint.objects.update(position=position)
        (status,) = projection_statuses()
        assert status.description == "stopped"
        assert "rebuild_projections bank.Balances" in status.reason
        with pytest.raises(ProjectionStopped, match="rebuild_projections"):
            catch_up()
        assert balances() == history
        rebuild(projection)
        deposit("1")
        catch_up()
        assert balances() == {**history, "1": 10}

    def test_whose_state_there_is_not_is_taken_as_workers_take_it(self, defined, history, client):
        defined()
        catch_up()
        Checkpoint.objects.update(state="paused")
        assert projection_statuses()[0].description == "up to date"
        client.force_login(get_user_model().objects.create_superuser("root"))
        page = client.get(reverse("admin:rill_django_checkpoint_changelist"))
        assert page.status_code == 200
        deposit("1")
        catch_up()
        assert balances() == {**history, "1": 10}

    def test_that_has_seen_nothing_yet_is_at_its_beginning(self, defined, history):
        defined()
        Checkpoint.objects.create(name="bank.Balances", version=1)
        catch_up()
        assert balances() == history


class TestALogThatWasRestored:
    """Behind its projections: what is new in it would be passed over."""

    @pytest.fixture(params=[1, 2])
    def restored(self, request, defined, history):
        projection = defined(parts=request.param)
        catch_up()
        restore(6)
        return projection

    def test_stops_a_projection_that_is_ahead_of_it(self, restored):
        with pytest.raises(ProjectionStopped, match="is not in the log, which ends at 6"):
            catch_up()
        assert set(Checkpoint.objects.values_list("state", flat=True)) == {"stopped"}

    def test_stops_it_also_when_it_has_grown_past_it_again(self, restored):
        for number in "6789":
            deposit(number)
        with pytest.raises(
            ProjectionStopped, match=r"bank\.Account/5@1.*holds bank\.Account/.@. now"
        ):
            catch_up()
        assert "6" not in balances()

    def test_is_an_alert_before_any_worker_has_looked(self, restored, client):
        (status,) = projection_statuses()
        assert status.description == "stopped"
        assert "rebuild_projections bank.Balances" in status.reason
        assert any("bank.Balances" in problem for problem in health.check())
        with pytest.raises(CommandError):
            call_command("projection_status", max_lag=100, stdout=StringIO())
        client.force_login(get_user_model().objects.create_superuser("root"))
        page = reverse("admin:rill_django_checkpoint_projection", args=("bank.Balances",))
        for url in (page, reverse("admin:rill_django_checkpoint_changelist")):
            assert "is not in the log" in client.get(url).content.decode()

    def test_is_mended_by_a_rebuild(self, restored):
        deposit("7")
        rebuild(restored)
        assert balances() == {"1": 5, "2": 5, "3": 5, "7": 5}
        deposit("1")
        catch_up()
        assert balances() == {"1": 10, "2": 5, "3": 5, "7": 5}
        assert projection_statuses()[0].description == "up to date"

    def test_is_mended_by_a_rebuild_in_place(self, restored):
        rebuild(restored, in_place=True)
        assert balances() == {"1": 5, "2": 5, "3": 5}
        deposit("4")
        catch_up()
        assert balances() == {"1": 5, "2": 5, "3": 5, "4": 5}

    def test_is_mended_by_restoring_the_right_log(self, restored):
        with pytest.raises(ProjectionStopped):
            catch_up()
        deposit("4")
        deposit("5")
        deposit("1")
        catch_up()
        assert balances() == {"1": 10, "2": 5, "3": 5, "4": 5, "5": 5}

    def test_behind_a_worker_that_runs(self, defined, history):
        defined()
        worker = ProjectionWorker()
        worker.run_until_caught_up()
        restore(6)
        deposit("8")
        worker.run_until_caught_up()
        assert "is not in the log" in worker.stopped["bank.Balances"]


class TestACheckpoint:
    def test_knows_the_event_at_its_position(self, defined, history):
        defined()
        catch_up()
        at = Checkpoint.objects.get()
        assert (at.position, at.seen) == (10, "bank.Account/5@1")
        Account.withdraw.transact("1", 1).unwrap()  # Of no interest to the projection.
        catch_up()
        at.refresh_from_db()
        assert (at.position, at.seen) == (11, "bank.Account/1@2")

    def test_knows_it_whatever_way_it_was_moved(self, defined, history):
        projection = defined()
        catch_up()
        rebuild(projection)
        seen = [(10, "bank.Account/5@1")]
        assert list(Checkpoint.objects.values_list("position", "seen")) == seen
        defined(parts=2)
        catch_up()
        assert list(Checkpoint.objects.values_list("position", "seen")) == seen * 2
        rebuild(defined(parts=2), in_place=True)
        assert list(Checkpoint.objects.values_list("position", "seen")) == seen * 2
        defined(number=2)
        catch_up()
        assert list(Checkpoint.objects.values_list("position", "seen")) == seen

    def test_of_an_earlier_release_is_trusted_and_learns_it(self, defined, history):
        defined()
        catch_up()
        Checkpoint.objects.update(seen="")
        deposit("1")
        catch_up()
        assert balances() == {**history, "1": 10}
        assert Checkpoint.objects.get().seen == "bank.Account/1@2"

    def test_of_an_earlier_release_is_not_trusted_ahead_of_the_log(self, defined, history):
        defined()
        catch_up()
        Checkpoint.objects.update(seen="", position=11)
        with pytest.raises(ProjectionStopped, match="is not in the log"):
            catch_up()

    def test_is_known_by_the_log_without_a_query_for_each_batch(self, defined):
        """Whoever has moved it knows it; and the event at the end of a full batch has been read."""
        for number in range(30):
            deposit(str(number))
        defined()
        worker = ProjectionWorker(batch_size=6)
        with CaptureQueriesContext(connection) as queries:
            worker.run_until_caught_up()
        looks = [one for one in queries if "position IN (" in one["sql"].replace('"', "")]
        assert len(looks) <= 1
        assert Checkpoint.objects.get().position == 60
