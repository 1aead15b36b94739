"""Fixtures, and that pytest finds them."""

import subprocess
import sys
from importlib.metadata import entry_points

import pytest
from django.conf import settings
from django.db import transaction

from rill_django import commit, commit_all
from rill_django.dispatch import Dispatcher
from rill_django.domain.runtime import current
from rill_django.repository import CachingRepository
from rill_django.store.memory import MemoryEventStore
from rill_django.testing import following
from rill_django.testing.following import forget_aggregates
from tests.bank.domain import Account
from tests.bank.models import Balance


def test_memory_runtime_needs_no_database(memory_runtime):
    Account.open.transact("1", "Ann").unwrap()
    assert Account.get("1").owner == "Ann"
    assert memory_runtime.repository.store.head() == 1


def test_catch_up_is_a_function(catch_up):
    Account.open.transact("1", "Ann").unwrap()
    assert not Balance.objects.exists()
    catch_up("bank.Balances")
    assert Balance.objects.get().owner == "Ann"


@pytest.mark.usefixtures("projections_up_to_date")
def test_projections_follow_every_way_to_commit():
    account = Account.open.transact("1", "Ann").unwrap()
    assert Balance.objects.get().balance == 0
    commit(account.deposit(5)).unwrap()
    assert Balance.objects.get().balance == 5
    commit_all([Account.get("1").deposit(1), Account.get("2").open("Bob")])
    assert Balance.objects.get(pk="1").balance == 6
    assert Balance.objects.get(pk="2").owner == "Bob"


@pytest.mark.usefixtures("projections_up_to_date")
def test_nothing_is_run_if_nothing_was_stored(monkeypatch):
    monkeypatch.setattr(following, "catch_up_after_transaction", None)
    assert Account.withdraw.transact("1", 5).reason == "insufficient-funds"


@pytest.mark.usefixtures("projections_up_to_date")
def test_the_runtime_is_the_one_that_was_in_use():
    assert isinstance(current().repository, CachingRepository)
    assert Account("1").evolve(owner="x").owner == "x"


@pytest.mark.usefixtures("projections_up_to_date")
def test_inside_a_transaction_they_follow_at_its_end(django_capture_on_commit_callbacks):
    with django_capture_on_commit_callbacks(execute=True), transaction.atomic():
        Account.open.transact("1", "Ann").unwrap()
        assert not Balance.objects.exists()
    assert Balance.objects.get().owner == "Ann"


@pytest.mark.django_db(transaction=True)
def test_that_end_comes_by_itself_without_a_test_case_around(projections_up_to_date):
    with transaction.atomic():
        Account.open.transact("1", "Ann").unwrap()
    assert Balance.objects.get().owner == "Ann"


def test_only_some_can_follow(db):
    with following.projections_up_to_date("bank.Audit"):
        Account.open.transact("1", "Ann").unwrap()
    assert not Balance.objects.exists()


def test_the_cache_is_emptied():
    dispatcher = Dispatcher(CachingRepository(MemoryEventStore()))
    with following.use(dispatcher):
        Account.open.transact("1", "Ann").unwrap()
        assert len(dispatcher.repository) == 1
        forget_aggregates()
        assert len(dispatcher.repository) == 0


def test_pytest_has_the_fixtures_also_without_django(tmp_path):
    """In a project of its own, as pytest loads the plugin: early, with no settings."""
    (tmp_path / "test_it.py").write_text(
        "from rill_django import Aggregate, command, event, key\n"
        "class Lamp(Aggregate, name='home.Lamp'):\n"
        "    place: str = key()\n"
        "    @event\n"
        "    def lit(self) -> 'Lamp':\n"
        "        return self\n"
        "    @command\n"
        "    def light(self) -> 'Lamp':\n"
        "        return self.lit()\n"
        "def test_without(): pass\n"
        "def test_it(memory_runtime):\n"
        "    assert Lamp.light.transact('hall').unwrap().version == 0\n"
    )
    installed = {one.name for one in entry_points(group="pytest11")}
    plugin = "rill_django" if "rill_django" in installed else "rill_django.testing.pytest_plugin"
    done = subprocess.run(
        [
            *(sys.executable, "-m", "pytest", "-q", "-W", "error", "-p", plugin),
            *("-p", "no:django", "-p", "no:cacheprovider"),
        ],
        cwd=tmp_path,
        env={"PYTHONPATH": str(settings.BASE_DIR), "PATH": ""},
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stdout + done.stderr
    assert "2 passed" in done.stdout
