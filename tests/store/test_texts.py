"""Texts that name something are the same if and only if all their bytes are, on every database."""

from decimal import Decimal

import pytest
from django.apps import apps
from django.core.management import call_command
from django.db import IntegrityError, connection, models

from rill_django import PARK, Projection, on
from rill_django.models import Answer, Checkpoint, Event, ParkedEvent, SkippedEvent, StoredType
from rill_django.projections.mending import retry, skip
from rill_django.projections.registry import current_projections
from rill_django.projections.worker import ProjectionWorker
from rill_django.store.answers import IdempotencyKeyReused
from rill_django.store.mysql_texts import inexact_columns
from rill_django.store.orm import DjangoEventStore
from rill_django.store.tables import LOST_RACE_CONSTRAINT
from rill_django.store.texts import IdentityField
from rill_django.testing import isolated_projections
from rill_django.testing.contracts import names_of, new_events
from tests.bank.domain import Account
from tests.bank.models import AuditLine

pytestmark = pytest.mark.django_db

NO_IDENTITIES = {"Checkpoint.state"}
"""Texts of a fixed length that the library itself chooses, from a list."""

ALIKE = (
    "payment",
    "Payment",
    "PAYMENT",
    "payment ",
    "päyment",
    "pa\u0308yment",
    "payment\u200b",
    "ß",
    "ss",
)
"""Some collation or other takes each of these for one of the others."""


def own_models():
    return apps.get_app_config("rill_django").get_models()


SINCE_THEN = {"seen"}
"""Columns that later migrations have made, exact from the start."""


def identities():
    """All rows of all tables, in the columns that this is about."""
    return {
        model: list(model.objects.order_by("pk").values_list("pk", *names))
        for model in own_models()
        for names in [
            [
                one.name
                for one in model._meta.local_fields
                if isinstance(one, IdentityField) and one.name not in SINCE_THEN
            ]
        ]
    }


def test_every_column_that_may_name_something_is_compared_so():
    texts = {
        f"{model.__name__}.{field.name}": type(field)
        for model in own_models()
        for field in model._meta.local_fields
        if isinstance(field, models.CharField)
    }
    kinds = {name: kind for name, kind in texts.items() if name not in NO_IDENTITIES}
    assert set(kinds.values()) == {IdentityField}
    assert len(kinds) >= 13


def test_the_database_has_them_so():
    assert inexact_columns(connection, own_models()) == {}
    if connection.vendor == "postgresql":
        with connection.cursor() as cursor:
            cursor.execute(
                "SELECT table_name, column_name FROM information_schema.columns "
                "WHERE table_name LIKE 'rill_django_%%' AND character_maximum_length IS NOT NULL "
                "AND collation_name IS DISTINCT FROM 'C'"
            )
            assert cursor.fetchall() == [("rill_django_checkpoint", "state")]


def test_no_index_is_longer_than_innodb_allows():
    widest = {
        tuple(names): sum(
            4 * field.max_length if isinstance(field, IdentityField) else 8
            for field in (model._meta.get_field(name) for name in names)
        )
        for model in own_models()
        for names in [
            *(one.fields for one in model._meta.total_unique_constraints),
            *(one.fields for one in model._meta.indexes),
            *([field.name] for field in model._meta.local_fields if field.unique or field.db_index),
        ]
    }
    assert max(widest.values()) <= 3072


MAKERS = {
    Answer: lambda text: Answer(key=text, command=text, expires_at="2030-01-01T00:00:00Z"),
    Checkpoint: lambda text: Checkpoint(name=text, seen=text, failed_event=text),
    ParkedEvent: lambda text: ParkedEvent(projection=text, position=1, event=text, keys=[]),
    SkippedEvent: lambda text: SkippedEvent(projection=text, position=1, event=text),
    StoredType: lambda text: StoredType(category=text, type=text, stream=text, version=0),
}


@pytest.mark.parametrize("model", MAKERS, ids=lambda model: model.__name__)
def test_what_looks_alike_is_told_apart_by_lookups_constraints_and_groups(model):
    model.objects.bulk_create([MAKERS[model](text) for text in ALIKE])
    names = [one.name for one in model._meta.local_fields if isinstance(one, IdentityField)]
    assert names
    for name in names:
        assert [model.objects.filter(**{name: text}).count() for text in ALIKE] == [1] * len(ALIKE)
        assert model.objects.filter(**{f"{name}__in": ALIKE[:2]}).count() == 2
        assert model.objects.order_by(name).values(name).distinct().count() == len(ALIKE)


def test_streams_and_types_are_told_apart():
    store = DjangoEventStore()
    streams = ["contract.Thing/a", "contract.Thing/A", "contract.Thing/a ", "contract.Thing/a\t"]
    for number, stream in enumerate(streams):
        store.append(stream, -1, new_events(str(number)))
    for number, stream in enumerate(streams):
        assert names_of(store.load(stream)) == [str(number)]
    assert set(store.load_all(streams)) == set(streams)
    assert store.load("contract.Thing/ä") == []
    assert list(store.read().of_type("contract.thing.happened", "ä")) == []
    assert len(list(store.read().of_type("contract.Thing.happened"))) == len(streams)
    assert Event.objects.filter(type="contract.Thing.happened ").count() == 0


def test_keys_that_look_alike_stand_for_commands_of_their_own():
    Account.open.transact("1", owner="Ann").unwrap()
    for number, key in enumerate(ALIKE, start=1):
        result = Account.deposit.transact("1", amount=Decimal(10), idempotency_key=key)
        assert result.events[0].version == number
    assert Account.get("1").balance == 10 * len(ALIKE)
    with pytest.raises(IdempotencyKeyReused):
        Account.withdraw.transact("1", amount=1, idempotency_key="payment")
    Account.withdraw.transact("1", amount=1, idempotency_key="pAyment").unwrap()


@pytest.mark.parametrize(
    "key", ["k" * 256, "a\0b", "\ud800", ""], ids=["long", "NUL", "half", "empty"]
)
def test_a_key_that_some_database_would_change_is_refused_by_all(key):
    with pytest.raises(ValueError, match="idempotency key"):
        Account.open.transact("1", owner="Ann", idempotency_key=key)
    assert not Account.get("1").exists


def test_skipping_an_event_skips_no_other():
    with isolated_projections():
        broken = True

        class Picky(Projection):
            models = (AuditLine,)
            name = "bank.Picky"
            on_error = PARK

            @on(Account.closed)
            def closed(self, event):
                if broken:
                    raise ValueError("not yet")
                AuditLine.objects.create(text=event.stream, position=event.position)

        for number in ("ab", "AB", "Ab"):
            Account.open.transact(number, owner="Ann").unwrap()
            Account.close.transact(number).unwrap()
        ProjectionWorker(["bank.Picky"]).run_until_caught_up()
        (picky,) = current_projections().named(["bank.Picky"])
        skip(picky, "bank.Account/ab@1", "a test account")
        broken = False
        retry(picky)
        assert list(SkippedEvent.objects.values_list("event", flat=True)) == ["bank.Account/ab@1"]
        assert sorted(AuditLine.objects.values_list("text", flat=True)) == [
            "bank.Account/AB",
            "bank.Account/Ab",
        ]


@pytest.mark.skipif("connection.vendor != 'mysql'", reason="the others had no such columns")
@pytest.mark.django_db(transaction=True)
@pytest.mark.parametrize("made", ["latin1_swedish_ci", "utf8mb4_unicode_ci", "utf8mb4_bin"])
def test_the_migration_mends_tables_with_rows_of_any_collation(made):
    Account.open.transact("1", owner="Ann", idempotency_key="k").unwrap()
    call_command("run_projections", "--once", verbosity=0)
    before = identities()
    call_command("migrate", "rill_django", "0006", verbosity=0)
    charset = made.partition("_")[0]
    with connection.cursor() as cursor:
        for model in own_models():
            cursor.execute(
                f"ALTER TABLE {model._meta.db_table} CONVERT TO CHARACTER SET {charset} COLLATE {made}"
            )
        cursor.execute(
            "ALTER TABLE rill_django_event MODIFY stream VARCHAR(255) "
            "CHARACTER SET ascii COLLATE ascii_bin NOT NULL"
        )
    call_command("migrate", "rill_django", verbosity=0)
    assert inexact_columns(connection, own_models()) == {}
    assert identities() == before
    Account.open.transact("2", owner="Ann", idempotency_key="K ").unwrap()
    columns = "stream, version, type, data, metadata, recorded_at"
    again = f"INSERT INTO rill_django_event ({columns}) SELECT {columns} FROM rill_django_event"
    with connection.cursor() as cursor, pytest.raises(IntegrityError, match=LOST_RACE_CONSTRAINT):
        cursor.execute(again)
