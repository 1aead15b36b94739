"""Where projections stand, and whether that is well."""

import traceback
from datetime import timedelta

import pytest
from django.db import connection
from django.utils import timezone

from rill_django.models import Checkpoint, Event, ParkedEvent
from rill_django.projections import health
from rill_django.projections.projection import HandlerFailed
from rill_django.projections.registry import UnknownProjection
from rill_django.projections.status import in_words, projection_statuses
from rill_django.projections.worker import ProjectionWorker, catch_up
from rill_django.store import moments
from rill_django.store.orm import DjangoEventStore
from tests.bank.domain import Account

pytestmark = pytest.mark.django_db

BALANCES = "bank.Balances"


@pytest.fixture
def history():
    Account.open.transact("1", "Ann").unwrap()
    for amount in (1, 2, 3):
        Account.deposit.transact("1", amount).unwrap()


def status(**options):
    (found,) = projection_statuses(names=[BALANCES], **options)
    return found


def checkpoint(position, **fields):
    return Checkpoint.objects.create(name=BALANCES, position=position, **fields)


def test_lag_is_told_in_events_and_in_seconds(history):
    first, second = Event.objects.order_by("id").values_list("recorded_at", flat=True)[:2]
    before = status(now=first + timedelta(seconds=90))
    assert (before.description, before.lag, before.lag_seconds, before.lag_time) == (
        "never run",
        4,
        90,
        "1 min",
    )
    ProjectionWorker([BALANCES], batch_size=1).run_once()
    between = status(now=second + timedelta(seconds=7))
    assert (between.description, between.lag, between.lag_seconds) == ("behind", 3, 7)
    catch_up(BALANCES)
    after = status(now=first + timedelta(days=1))
    assert (after.description, after.lag, after.lag_seconds, after.lag_time) == (
        "up to date",
        0,
        0,
        "",
    )


def test_a_clock_that_is_behind_the_databases_makes_no_negative_lag(history):
    assert status(now=timezone.now() - timedelta(hours=1)).lag_seconds == 0


@pytest.mark.parametrize("wrong", [timedelta(hours=-1), timedelta(hours=1)])
def test_lag_is_told_by_the_databases_clock_not_by_the_hosts(history, monkeypatch, wrong):
    """Events are recorded by it."""
    if connection.vendor == "sqlite":
        pytest.skip("the host's clock is the database's")
    catch_up()
    Account.deposit.transact("1", 9).unwrap()
    right = moments.now
    monkeypatch.setattr(moments, "now", lambda: right() + wrong)
    assert 0 < status().lag_seconds < 600


def test_projections_that_are_equally_far_ask_for_the_age_once(
    history, django_assert_max_num_queries
):
    catch_up()
    Account.deposit.transact("1", 9).unwrap()
    names = ["bank.Audit", "bank.Balances", "bank.Branches"]
    projection_statuses(names=names)
    with django_assert_max_num_queries(3 + 2 * len(names)):
        found = projection_statuses(names=names)
    assert {one.lag for one in found} == {1}


def test_a_projection_in_one_piece_is_its_own_piece(history):
    catch_up(BALANCES)
    (piece,) = status().pieces
    assert piece == status()
    assert piece.part == ""


def test_a_split_projection_is_as_far_as_its_last_partition(history):
    for partition, position in enumerate((4, 1, 3)):
        checkpoint(position, partition=partition, partitions=3)
    whole = status()
    assert (whole.position, whole.lag, whole.description, whole.part) == (1, 3, "behind", "")
    assert [(one.part, one.lag) for one in whole.pieces] == [("1/3", 0), ("2/3", 3), ("3/3", 1)]


def test_a_split_projection_stands_still_if_one_partition_does(history):
    checkpoint(4, partition=0, partitions=2)
    stopped = checkpoint(1, partition=1, partitions=2)
    stopped.stop("bank.Account/1@1", "Traceback (most recent call last):\n  File\nValueError: no\n")
    whole = status()
    assert (whole.description, whole.failed_event, whole.reason) == (
        "stopped",
        "bank.Account/1@1",
        "ValueError: no",
    )


def test_what_is_rebuilt_beside_is_a_piece_and_changes_nothing_else(history):
    checkpoint(4)
    checkpoint(2, is_beside=True, version=7)
    whole = status()
    assert (whole.position, whole.description, whole.version) == (4, "up to date", 1)
    live, beside = whole.pieces
    assert (live.part, beside.part) == ("", "beside")
    assert (beside.position, beside.description, beside.version) == (2, "rebuilding", 7)


def test_a_first_build_beside_leaves_the_projection_never_run(history):
    checkpoint(2, is_beside=True)
    assert status().description == "never run"
    assert [one.description for one in status().pieces] == ["never run", "rebuilding"]


def test_parked_events_are_counted(history):
    checkpoint(4)
    for position in (2, 3):
        ParkedEvent.objects.create(
            projection=BALANCES, position=position, event=f"bank.Account/1@{position}", keys=["1"]
        )
    assert status().parked == 2


def test_the_reason_is_not_that_a_handler_failed(history):
    """The event is told beside."""
    event = next(iter(DjangoEventStore().read()))
    with pytest.raises(HandlerFailed) as failed:
        raise HandlerFailed(BALANCES, event, ValueError("no (a, position 3): b\nmore"))
    assert event.identity in str(failed.value)
    checkpoint(1, error="".join(traceback.format_exception(failed.value)))
    assert status().reason == "ValueError: no (a, position 3): b"


@pytest.mark.parametrize(
    ("error", "reason"),
    [
        ("", ""),
        ("Traceback (most recent call last):\n  File x\n    y\nKeyError: 'a'\n", "KeyError: 'a'"),
        (
            "Traceback (most recent call last):\n  x\nValueError: first\n\nThe above exception was the "
            "direct cause of the following exception:\n\nTraceback (most recent call last):\n  y\n"
            "ValueError: second\nDETAIL: more\n",
            "ValueError: second",
        ),
        (
            "Traceback (most recent call last):\n  a\nKeyError: 1\n\nThe above…\n\n"
            "Traceback (most recent call last):\n  b\n"
            "rill_django.projections.projection.HandlerFailed: a.B failed on s/(x) @0@1 "
            "(a.S.happened, position 7): IntegrityError: twice (a, position 8): b\nDETAIL: c\n",
            "IntegrityError: twice (a, position 8): b",
        ),
        ("ValueError", "ValueError"),
        ("told by hand", "told by hand"),
    ],
)
def test_the_reason_is_the_line_that_says_it(history, error, reason):
    checkpoint(1, error=error)
    assert status().reason == reason


@pytest.mark.parametrize(
    ("seconds", "words"),
    [
        (0.2, "under 1 s"),
        (1, "1 s"),
        (59, "59 s"),
        (60, "1 min"),
        (3_599, "59 min"),
        (7_200, "2 h"),
        (86_400 * 3.9, "3 d"),
    ],
)
def test_times_in_words(seconds, words):
    assert in_words(seconds) == words


class TestHealth:
    def problems(self, **bounds):
        return [str(problem) for problem in health.check([BALANCES], **bounds)]

    def test_nothing_is_wrong(self, history):
        catch_up(BALANCES)
        assert self.problems(max_lag=1, max_lag_seconds=0.001) == []

    def test_a_lag_is_no_problem_of_its_own(self, history):
        assert self.problems() == []
        assert self.problems(max_lag=4, max_lag_seconds=3_600) == []

    def test_a_lag_beyond_a_bound_is(self, history):
        (problem,) = self.problems(max_lag=3)
        assert problem == (
            "bank.Balances is 4 events behind, the oldest recorded under 1 s ago, and has never been run"
        )
        checkpoint(3)
        (problem,) = self.problems(max_lag_seconds=1e-9)
        assert problem == "bank.Balances is 1 event behind, the oldest recorded under 1 s ago"

    def test_a_stop_is_also_without_bounds(self, history):
        checkpoint(1).stop("bank.Account/1@1", "ValueError: secret")
        assert self.problems(max_lag=1) == ["bank.Balances stands still at bank.Account/1@1"]

    def test_so_are_parked_events(self, history):
        catch_up(BALANCES)
        ParkedEvent.objects.create(projection=BALANCES, position=2, event="x@1", keys=["1"])
        assert self.problems() == ["bank.Balances has parked 1 event"]

    def test_a_partition_is_named(self, history):
        checkpoint(4, partition=0, partitions=2)
        checkpoint(1, partition=1, partitions=2)
        assert self.problems(max_lag=1) == [
            "bank.Balances (2/2) is 3 events behind, the oldest recorded under 1 s ago"
        ]

    def test_a_rebuild_may_lag_but_not_stop(self, history):
        checkpoint(4)
        beside = checkpoint(0, is_beside=True)
        assert self.problems(max_lag=1) == []
        beside.stop("bank.Account/1@1", "ValueError")
        assert self.problems() == ["bank.Balances (beside) stands still at bank.Account/1@1"]

    def test_an_unknown_name_is_refused(self):
        with pytest.raises(UnknownProjection):
            health.check(["nope"])
