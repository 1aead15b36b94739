"""Django's fixtures may bring a log along: into an empty one, or one that has the same already."""

import json
from io import StringIO

import pytest
from django.core.management import call_command
from django.db import connection

from rill_django.models import Event, Position
from rill_django.store.orm import DjangoEventStore
from rill_django.store.tables import ImmutableEvent
from tests.bank.domain import Account

pytestmark = pytest.mark.django_db(transaction=True)


@pytest.fixture
def dumped(tmp_path):
    for number in range(3):
        Account.open.transact(str(number), "Änn é", idempotency_key=f"k{number}").unwrap()
    Account.deposit.transact("1", amount="1.50").unwrap()
    assert DjangoEventStore().head() == 4
    out = StringIO()
    call_command("dumpdata", "rill_django", stdout=out)
    path = tmp_path / "log.json"
    path.write_text(out.getvalue())
    return path


def content():
    return [list(model.objects.order_by("pk").values()) for model in (Event, Position)]


def in_milliseconds(models):
    """More is not kept by ``dumpdata``."""
    events, positions = models
    for event in events:
        moment = event["recorded_at"]
        event["recorded_at"] = moment.replace(microsecond=moment.microsecond // 1000 * 1000)
    return events, positions


def flush():
    call_command("flush", interactive=False, verbosity=0, reset_sequences=False)


def test_a_dump_is_loaded_into_an_empty_log(dumped):
    before = content()
    flush()
    call_command("loaddata", str(dumped), verbosity=0)
    assert in_milliseconds(content()) == in_milliseconds(before)
    assert Account.get("1").balance == 1.5
    call_command("verify_events", verbosity=0, stdout=StringIO())
    Account.deposit.transact("1", amount="1").unwrap()
    assert DjangoEventStore().head() == 5
    assert Account.deposit.transact("2", amount="1", idempotency_key="new").unwrap()


def test_what_is_there_already_stays_as_it_is(dumped):
    before = content()
    for _ in range(2):
        call_command("loaddata", str(dumped), verbosity=0)
    assert content() == before


@pytest.mark.parametrize(
    ("model", "field", "value"),
    [
        ("rill_django.event", "type", "bank.Account.closed"),
        ("rill_django.event", "data", {"number": "x"}),
        ("rill_django.event", "recorded_at", "2001-01-01T00:00:00Z"),
        ("rill_django.position", "event", 99_999),
    ],
)
def test_what_says_something_else_is_refused_by_name(dumped, model, field, value):
    before = content()
    rows = json.loads(dumped.read_text())
    next(row for row in rows if row["model"] == model)["fields"][field] = value
    dumped.write_text(json.dumps(rows))
    with pytest.raises(ImmutableEvent, match=f"another {field} than the log"):
        call_command("loaddata", str(dumped), verbosity=0)
    assert content() == before


@pytest.mark.usefixtures("dumped")
def test_what_migrations_have_recorded_is_put_back_for_each_test():
    """As ``serialized_rollback`` does: before the first test over what is there, then after each flush."""
    before, creation = content(), connection.creation
    whole = creation.serialize_db_to_string()
    creation.deserialize_db_from_string(whole)
    assert content() == before
    for _ in range(2):
        Account.open.transact("other", owner="O").unwrap()
        options = {"reset_sequences": False, "inhibit_post_migrate": True}
        call_command("flush", interactive=False, verbosity=0, **options)
        creation.deserialize_db_from_string(whole)
        assert in_milliseconds(content()) == in_milliseconds(before)
        assert not Account.get("other").exists
        assert Account.get("1").balance == 1.5
    call_command("flush", interactive=False, verbosity=0, reset_sequences=False)
