"""Errors show the code of whoever made them, and not the library's."""

import logging
import os
import subprocess
import sys
import traceback
from io import StringIO
from pathlib import Path

import pytest
from django.core.management import CommandError, call_command
from django.db import DatabaseError

import rill_django
from rill_django import (
    Aggregate,
    InvalidMessage,
    Projection,
    RowProjection,
    after_commit,
    command,
    commit,
    event,
    key,
    on,
    require,
    transact,
    upcast,
)
from rill_django.domain.records import NewEvent
from rill_django.domain.registry import isolated_registry
from rill_django.domain.tracebacks import shorten
from rill_django.models import Checkpoint
from rill_django.projections.rebuild import rebuild, verify
from rill_django.projections.registry import current_projections, isolated_projections
from rill_django.projections.waiting import wait_for
from rill_django.projections.worker import ProjectionStopped, ProjectionWorker, catch_up
from rill_django.store.orm import DjangoEventStore
from rill_django.testing import given
from rill_django.triggers import isolated_triggers
from tests.bank.models import AuditLine, Balance

pytestmark = pytest.mark.django_db

HOME = str(Path(rill_django.__file__).parent)


@pytest.fixture(autouse=True)
def _quick(monkeypatch):
    monkeypatch.setattr("rill_django.projections.pace.FIRST_PAUSE_SECONDS", 1e-6)


@pytest.fixture
def cart():
    with isolated_registry():

        class Cart(Aggregate, name="shop.Cart"):
            number: str = key()

            @event
            def opened(self, owner: str):
                return self.check(owner)

            @event
            def closed(self, why: str):
                return self

            def check(self, owner):
                if owner == "event":
                    raise LookupError("what is this")
                return self

            @command
            def open(self, owner: str):
                if owner == "command":
                    raise LookupError("what is this")
                if owner == "none":
                    return None
                return self.reject("no-owner") if owner == "nobody" else self.opened(owner)

            @command
            @require(lambda self, why: why, "say why")
            def close(self, why: str):
                return self.closed(why)

            @command
            def look(self, other: str):
                return self.reject("no", owner=self.read(Cart, other))

        yield Cart


def chain(error):
    """The names of functions in the tracebacks of an error and its causes; ours with a star."""
    found = []
    told = traceback.TracebackException.from_exception(error)
    while told is not None:
        found.append(
            [
                f"*{frame.name}" if frame.filename.startswith(HOME) else frame.name
                for frame in told.stack
            ]
        )
        told = told.__cause__ or (None if told.__suppress_context__ else told.__context__)
    return found


def raised(work):
    """The error that work raises, with what is seen of it where it was called."""
    try:
        work()
    except Exception as error:
        names, *causes = chain(error)
        assert names[:2] == ["raised", "<lambda>"]
        return error, [names[2:], *causes]
    raise AssertionError("nothing was raised")


def store(stream, type, data):
    DjangoEventStore().append(stream, -1, [NewEvent(type, data)])


DIRECT = {
    "a command that fails": (
        lambda cart: cart.open.transact("1", "command"),
        [["*transact", "open"]],
    ),
    "one with an idempotency key": (
        lambda cart: cart.open.transact("1", "command", idempotency_key="k"),
        [["*transact", "open"]],
    ),
    "one without storing": (lambda cart: cart("1").open("command"), [["*decide", "open"]]),
    "one as data": (
        lambda cart: transact(cart.open.message("1", "command")),
        [["*transact", "open"]],
    ),
    "an event method that fails": (
        lambda cart: cart.open.transact("1", "event"),
        [["*transact", "open", "opened", "check"]],
    ),
    "one by itself": (lambda cart: cart("1").opened("event"), [["*apply_new", "opened", "check"]]),
    "a wrong result": (lambda cart: cart.open.transact("1", "none"), [["*transact"]]),
    "a wrong value": (lambda cart: cart.open.transact("1", 5), [["*transact"]]),
    "a wrong message": (lambda cart: cart.open.message("1", 5), [["*message"]]),
    "a wrong dict": (lambda cart: cart.open.from_dict({"number": 1}), [["*from_dict"]]),
    "wrong JSON": (lambda cart: cart.open.from_json(b"{}"), [["*from_json"]]),
    "a wrong key": (lambda cart: cart.get(5), [["*get"]]),
    "a wrong key of an empty one": (lambda cart: cart(5), [["*__call__"]]),
    "no such argument": (lambda cart: cart.open.transact("1", ownr="Ann"), [["*transact"]]),
    "a condition that does not hold": (lambda cart: cart.close.transact("1", ""), [["*transact"]]),
    "a rejection": (lambda cart: cart.open.transact("1", "nobody").unwrap(), [["*unwrap"]]),
    "a conflict": (
        lambda cart: cart.open.transact("1", "Ann", expected_version=7).unwrap(),
        [["*unwrap"]],
    ),
    "a rejection in a scenario": (
        lambda cart: given(cart("1")).when(cart.open, "nobody").then(),
        [["*then"]],
    ),
    "a command that fails in a scenario": (
        lambda cart: given(cart("1")).when(cart.open, "command"),
        [["*when", "open"]],
    ),
    "what is no aggregate": (lambda cart: commit(7), [["*commit"]]),
    "what nobody has thought of": (lambda cart: commit(cart("1").opened("x"), metadata=7), None),
}


@pytest.mark.parametrize("name", DIRECT)
def test_where_a_mistake_was_made_is_all_that_is_shown(cart, name):
    work, expected = DIRECT[name]
    _error, seen = raised(lambda: work(cart))
    seen[0].remove("<lambda>")
    if expected is None:  # A mistake that nobody has thought of shows all there is.
        assert len(seen[0]) > 1
    else:
        assert seen == expected


def test_events_that_no_code_knows_and_those_that_it_cannot_read(cart):
    store("shop.Cart/1", "shop.Cart.gone", b'{"number":"1"}')
    store("shop.Cart/2", "shop.Cart.opened", b'{"number":"2"}')
    assert raised(lambda: cart.open.transact("1", "Ann"))[1] == [["*transact"]]
    assert raised(lambda: cart.open.transact("2", "Ann"))[1] == [["*transact"]]
    assert raised(lambda: cart.get("2"))[1] == [["*get"]]
    assert raised(lambda: cart.look.transact("3", "2"))[1] == [["*transact", "look"]]


def test_an_upcaster_that_fails(cart):
    store("shop.Cart/1", "shop.Cart.opened", b'{"number":"1"}')

    @upcast("shop.Cart.opened")
    def renamed(raw):
        return raw.with_data(owner=raw.data["holder"])

    _error, seen = raised(lambda: cart.get("1"))
    assert seen == [["*get"], ["renamed"]]
    _error, seen = raised(lambda: cart.open.transact("2", "Ann"))
    assert seen == [["*transact"], ["renamed"]]


def test_definitions_that_cannot_work(cart):
    def aggregate():
        class Shelf(Aggregate, name="shop.Shelf"):
            number: str = key()

            @event
            def filled(self, number: str): ...

    def projection():
        class Lines(Projection):
            @on(cart.opened)
            def happened(self, event): ...

    assert raised(lambda: aggregate())[1] == [["aggregate", "*__new__"]]
    assert raised(lambda: projection())[1] == [["projection", "*__init_subclass__"]]


@pytest.fixture
def lines(cart):
    with isolated_projections():

        class Lines(Projection):
            name = "test.Lines"
            models = (AuditLine,)

            @on(cart.opened)
            def happened(self, event):
                raise LookupError("what is this")

        cart.open.transact("1", "Ann").unwrap()
        yield Lines


def test_a_handler_that_fails_in_a_test(lines):
    error, seen = raised(lambda: catch_up())
    assert isinstance(error, ProjectionStopped)
    assert "shop.Cart/1@0" in str(error)
    assert seen == [["*catch_up"], ["happened"]]


def test_one_of_a_row_projection_that_misspells_a_field(cart):
    with isolated_projections():

        class Rows(RowProjection):
            name = "test.Rows"
            model = Balance
            key = "number"

            @on(cart.opened)
            def happened(self, row, event):
                row.owner = event.ownr

        cart.open.transact("1", "Ann").unwrap()
        _error, seen = raised(lambda: catch_up())
        assert seen == [["*catch_up"], ["happened", "*__getattr__"]]


def test_one_in_the_log_of_a_worker_and_in_its_status(lines, caplog):
    with caplog.at_level(logging.ERROR, logger="rill_django"):
        ProjectionWorker().run_until_caught_up()
    (record,) = caplog.records
    for text in (caplog.text, Checkpoint.objects.get().error):
        assert "in happened" in text
        assert HOME not in text
    assert chain(record.exc_info[1])[-1] == ["happened"]


@pytest.mark.parametrize("work", [rebuild, verify])
def test_one_in_a_rebuild(lines, work):
    (projection,) = current_projections().named(["test.Lines"])
    error, seen = raised(lambda: work(projection))
    ours = [name for name in seen[0] if name.startswith("*")]
    assert ours == [f"*{work.__name__}"]
    if seen[1:]:
        assert seen[1:] == [["happened"]]
    else:
        assert "transaction" in str(error)


def test_one_of_an_inline_projection(cart):
    with isolated_projections():

        class Lines(Projection):
            name = "test.Lines"
            models = (AuditLine,)
            inline = True

            @on(cart.opened)
            def happened(self, event):
                raise LookupError("what is this")

        _error, seen = raised(lambda: cart.open.transact("1", "Ann"))
        assert seen == [["*transact"], ["happened"]]


@pytest.mark.django_db(transaction=True)
def test_a_trigger_that_fails(cart, caplog):
    with isolated_triggers():

        @after_commit(cart.opened)
        def happened(event):
            cart.close.transact("1", "")

        cart.open.transact("1", "Ann").unwrap()
    (record,) = caplog.records
    assert chain(record.exc_info[1]) == [["happened"]]


def test_a_command_of_the_operator_says_where_and_is_no_traceback(lines):
    with pytest.raises(CommandError, match=r"(?s)failed on shop.*in happened") as failed:
        call_command("rebuild_projections", no_input=True, stdout=StringIO(), stderr=StringIO())
    assert HOME not in str(failed.value)


def test_somebody_who_waits_for_what_stands_still(lines, cart, monkeypatch):
    monkeypatch.setattr(
        "rill_django.projections.waiting._refuse_open_transactions", lambda *_: None
    )
    result = cart.open.transact("2", "Ann")
    ProjectionWorker().run_until_caught_up()
    assert raised(lambda: wait_for(lines, result))[1] == [["*wait_for"]]


def test_all_frames_stay_if_somebody_wants_them(cart, settings):
    settings.RILL = {"FULL_TRACEBACKS": True}
    _error, seen = raised(lambda: cart.open.transact("1", "command"))
    assert len(seen[0]) > 5
    settings.RILL = {"FULL_TRACEBACK": True}  # A mistake; then nobody knows.
    _error, seen = raised(lambda: cart.open.transact("1", "command"))
    assert len(seen[0]) > 5


def test_what_the_database_says_keeps_all_frames(cart, monkeypatch):
    for dialect in ("dialect", "postgresql"):
        monkeypatch.setattr(f"rill_django.store.{dialect}.EVENTS", "nowhere")
    error, seen = raised(lambda: cart.get("1"))
    assert isinstance(error, DatabaseError)
    assert len(seen[0]) > 4


def test_a_cause_that_leads_round_in_a_circle_is_looked_at_once():
    one, other = KeyError(1), KeyError(2)
    one.__cause__, other.__cause__ = other, one
    shorten(one)


_IN_A_TEST = """
from tests.bank.domain import Account

def test_deposit():
    Account("1").opened(5)
"""


def test_pytest_shows_the_test_and_not_the_library(tmp_path):
    (tmp_path / "test_it.py").write_text(_IN_A_TEST)
    root = Path(HOME).parent
    ran = subprocess.run(
        [
            *(sys.executable, "-m", "pytest", "-q", "-p", "no:cacheprovider"),
            *("--rootdir", str(tmp_path), "--ds", "tests.settings", str(tmp_path)),
        ],
        capture_output=True,
        text=True,
        cwd=tmp_path,
        env={**os.environ, "PYTHONPATH": str(root)},
        check=False,
    )
    assert "test_it.py:5: InvalidMessage" in ran.stdout, ran.stdout + ran.stderr
    assert "definitions.py" not in ran.stdout
    assert InvalidMessage.__name__ in ran.stdout
