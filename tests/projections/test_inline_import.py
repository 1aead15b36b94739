"""Inline projections and an import, which appends events without commands."""

from threading import Event as Signal

import pytest
from django.core.management import call_command
from django.db import connection, transaction

from rill_django.domain.runtime import current
from rill_django.integrity.importing import Import, appends_of
from rill_django.integrity.lines import from_line
from rill_django.models import Checkpoint
from rill_django.projections.inline.checkpoints import have_built_anew
from rill_django.projections.rebuild import rebuild
from rill_django.projections.status import projection_statuses
from rill_django.projections.worker import catch_up
from rill_django.store.orm import DjangoEventStore
from rill_django.testing import isolated_projections
from tests.bank.domain import Account
from tests.bank.models import Balance
from tests.patience import HOPE_SECONDS, wait_until_locked_out
from tests.projections.inline_bank import at_once, balances, projections

pytestmark = pytest.mark.django_db(transaction=True)

only_where_writers_meet = pytest.mark.skipif(
    connection.vendor == "sqlite", reason="SQLite has one writer at a time"
)


@pytest.fixture
def lines(tmp_path):
    """Six events of another log, as lines."""
    file = tmp_path / "log.jsonl"
    with isolated_projections():
        for number in range(6):
            Account.open.transact(f"imported-{number}", "Ann").unwrap()
    call_command("export_events", output=file, verbosity=0)
    call_command("flush", interactive=False, verbosity=0)
    current().repository.clear()
    return file.read_bytes().splitlines(keepends=True)[:-1]


def import_events(lines):
    """Import two lines at a time, as the command does; return the inline projections that lack them."""
    store, lacking = DjangoEventStore(), set()
    within = lambda: lacking.update(have_built_anew(store))  # noqa: E731
    assert list(Import(store, batch_size=2, within=within).run(lines))
    return lacking


def test_what_is_imported_has_to_be_built(tmp_path, capsys):
    file = str(tmp_path / "log.jsonl")
    with isolated_projections():
        Account.open.transact("1", "Ann").unwrap()
        call_command("export_events", "--output", file, verbosity=0)
        call_command("flush", interactive=False, verbosity=0)
        current().repository.clear()
    with projections(balances) as (sums,):
        Account.open.transact("2", "Bob").unwrap()
        call_command("import_events", file, "--dry-run", verbosity=0)
        assert projection_statuses()[0].is_built
        call_command("import_events", file, verbosity=0)
        assert f"rebuild_projections {sums.name}" in capsys.readouterr().err
        assert [row.owner for row in Balance.objects.all()] == ["Bob"]
        assert not projection_statuses()[0].is_built
        catch_up()
        assert projection_statuses()[0].is_built
        assert [row.owner for row in Balance.objects.order_by("pk")] == ["Ann", "Bob"]


def test_a_worker_builds_between_two_batches(lines):
    def slowly():
        for number, line in enumerate(lines):
            if number == 2:
                catch_up()
                assert projection_statuses()[0].is_built
            yield line

    with projections(balances) as (sums,):
        Account.open.transact("1", "Bob").unwrap()
        import_events(slowly())
        assert Checkpoint.objects.get(name=sums.name).version == 0
        catch_up()
        assert Balance.objects.count() == 7


def test_what_is_there_already_need_not_be_built(lines):
    with projections(balances) as (sums,):
        assert import_events(lines) == {sums.name}
        catch_up()
        assert import_events(lines) == set()
        assert Checkpoint.objects.get(name=sums.name).version == 1


@pytest.mark.parametrize("when", [0, 1, 2, 6])
def test_the_first_command_comes_during_an_import(lines, when):
    def slowly():
        for number, line in enumerate([*lines, b"\n"]):
            if number == when:
                Account.open.transact("1", "Bob").unwrap()
            yield line

    with projections(balances):
        import_events(slowly())
        catch_up()
        assert Balance.objects.count() == 7
        Account.deposit.transact("1", 5).unwrap()
        assert Balance.objects.get(pk="1").balance == 5


@only_where_writers_meet
@pytest.mark.parametrize("in_place", [False, True])
def test_a_rebuild_has_what_is_just_imported_or_is_noted_as_lacking_it(lines, in_place):
    store = DjangoEventStore()
    batch = appends_of(from_line(line, 1) for line in lines)
    with projections(balances) as (sums,):
        Account.open.transact("1", "Bob").unwrap()
        is_open = Signal()

        def slowly_import():
            with transaction.atomic():
                store.append_all(batch, within=lambda stored: have_built_anew(store))
                is_open.set()
                wait_until_locked_out()

        def build():
            assert is_open.wait(HOPE_SECONDS)
            return rebuild(sums(), in_place=in_place)

        assert at_once(slowly_import, build) == [None, 7]
        assert Balance.objects.count() == 7
        assert Checkpoint.objects.get(name=sums.name).version == 1


@only_where_writers_meet
def test_an_import_waits_for_a_rebuild_that_does_not_have_it(lines):
    store = DjangoEventStore()
    batch = appends_of(from_line(line, 1) for line in lines)
    with projections(balances) as (sums,):
        Account.open.transact("1", "Bob").unwrap()
        have_built_anew(store)
        begins = Signal()

        def build():
            def progress(name, position, head):
                begins.set()
                wait_until_locked_out()

            return rebuild(sums(), in_place=True, progress=progress)

        def import_all():
            assert begins.wait(HOPE_SECONDS)
            store.append_all(batch, within=lambda stored: have_built_anew(store))

        assert at_once(build, import_all) == [1, None]
        assert Checkpoint.objects.get(name=sums.name).version == 0
        catch_up()
        assert Balance.objects.count() == 7
