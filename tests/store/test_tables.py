"""Events cannot be changed through the model."""

import pytest
from django.db import IntegrityError, connection

from rill_django.models import Event, Position, Unsequenced
from rill_django.store.orm import DjangoEventStore
from rill_django.store.tables import ImmutableEvent
from rill_django.testing.contracts import new_events

pytestmark = pytest.mark.django_db


@pytest.fixture
def event():
    DjangoEventStore().append("contract.Thing/1", -1, new_events("a"))
    return Event.objects.get()


def test_an_event_reads_like_any_model(event):
    assert (event.stream, event.version, event.type) == (
        "contract.Thing/1",
        0,
        "contract.Thing.happened",
    )
    assert event.data == {"name": "a"}
    assert event.metadata == {"actor": "ann"}
    assert str(event) == "contract.Thing/1@0"
    assert Event.objects.filter(data__name="a").count() == 1


@pytest.fixture(params=[Event, Position, Unsequenced], ids=lambda model: model.__name__)
def row(request, event):
    DjangoEventStore().sequence()
    if request.param is Unsequenced:
        with connection.cursor() as cursor:
            cursor.execute("INSERT INTO rill_django_unsequenced (event_id) VALUES (99)")
    return request.param.objects.get()


@pytest.mark.parametrize(
    "attempt",
    [
        lambda one, rows: one.save(),
        lambda one, rows: one.save(force_update=True),
        lambda one, rows: one.save(update_fields=["pk"]),
        lambda one, rows: one.save_base(),
        lambda one, rows: type(one)(pk=12345).save(),
        lambda one, rows: one.delete(),
        lambda one, rows: rows.all().delete(),
        lambda one, rows: rows.all()._raw_delete("default"),
        lambda one, rows: rows.update(pk=7),
        lambda one, rows: rows.filter(pk=one.pk).update(pk=7),
        lambda one, rows: rows.create(pk=12345),
        lambda one, rows: rows.bulk_create([type(one)(pk=12345)]),
        lambda one, rows: rows.bulk_create([one], update_conflicts=True, update_fields=["event"]),
        lambda one, rows: rows.bulk_update([one], ["event"]),
        lambda one, rows: rows.get_or_create(pk=12345),
        lambda one, rows: rows.update_or_create(pk=12345),
        lambda one, rows: one.asave(),
        lambda one, rows: one.adelete(),
        lambda one, rows: rows.all().adelete(),
        lambda one, rows: rows.aupdate(pk=7),
        lambda one, rows: rows.acreate(pk=12345),
        lambda one, rows: rows.abulk_create([one]),
        lambda one, rows: rows.abulk_update([one], ["event"]),
        lambda one, rows: rows.aget_or_create(pk=12345),
        lambda one, rows: rows.aupdate_or_create(pk=12345),
    ],
)
def test_every_way_to_change_it_is_refused(row, attempt):
    model = type(row)
    before = list(model.objects.values())
    with pytest.raises(ImmutableEvent, match="record another event"):
        attempt(row, model.objects)
    assert list(model.objects.values()) == before


def test_the_database_itself_keeps_stream_and_version_unique(event):
    columns = "stream, version, type, data, metadata, recorded_at"
    with pytest.raises(IntegrityError), connection.cursor() as cursor:
        cursor.execute(
            f"INSERT INTO rill_django_event ({columns}) SELECT {columns} FROM rill_django_event"
        )


def test_an_event_knows_its_place_in_the_log(event):
    DjangoEventStore().sequence()
    event.refresh_from_db()
    assert event.place.position == 1
    assert str(Position.objects.get()) == "1"


@pytest.mark.skipif("connection.vendor != 'postgresql'", reason="only PostgreSQL needs to be told")
def test_streams_are_compared_byte_by_byte():
    with connection.cursor() as cursor:
        cursor.execute(
            "SELECT collation_name FROM information_schema.columns "
            "WHERE table_name = 'rill_django_event' AND column_name IN ('stream', 'type')"
        )
        assert cursor.fetchall() == [("C",), ("C",)]


@pytest.mark.skipif("connection.vendor != 'postgresql'", reason="only PostgreSQL has such an index")
def test_times_are_searched_by_an_index_that_costs_next_to_nothing():
    with connection.cursor() as cursor:
        cursor.execute(
            "SELECT indexdef FROM pg_indexes WHERE indexname = 'rill_django_event_recorded_at'"
        )
        assert "USING brin (recorded_at)" in cursor.fetchone()[0]
