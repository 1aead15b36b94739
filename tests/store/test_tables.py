"""Events cannot be changed through the model."""

import pytest
from django.db import IntegrityError, connection

from rill_django.models import Event, Position
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


@pytest.mark.parametrize(
    "attempt",
    [
        lambda event: event.save(),
        lambda event: event.delete(),
        lambda event: Event.objects.all().delete(),
        lambda event: Event.objects.update(version=7),
        lambda event: Event.objects.create(stream="x", version=0, type="x", data={}),
        lambda event: Event.objects.bulk_create([Event(stream="x", version=0, type="x")]),
        lambda event: Event.objects.bulk_update([event], ["version"]),
        lambda event: Event.objects.get_or_create(stream="x", version=0),
        lambda event: Event.objects.update_or_create(stream="x", version=0),
    ],
)
def test_every_way_to_change_it_is_refused(event, attempt):
    with pytest.raises(ImmutableEvent, match="record another event"):
        attempt(event)
    assert Event.objects.count() == 1


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
