"""Moments stay what they are, whatever the project's settings say of time zones."""

from contextlib import contextmanager
from datetime import datetime, timedelta, timezone
from io import StringIO

import pytest
from django.contrib.auth import get_user_model
from django.core.management import call_command
from django.db import connection
from django.urls import reverse

from rill_django import Aggregate, commit_all, event, key
from rill_django.models import Answer, Checkpoint, Event, ParkedEvent, SkippedEvent
from rill_django.projections import health
from rill_django.projections.status import projection_statuses
from rill_django.projections.worker import catch_up
from rill_django.store.moments import now
from rill_django.store.orm import DjangoEventStore
from tests.bank.domain import Account
from tests.bank.models import Balance

pytestmark = pytest.mark.django_db(transaction=True)

# The clocks of Berlin showed 02:30 twice on that day, an hour apart.
FIRST_HALF_PAST_TWO = datetime(2026, 10, 25, 0, 30, tzinfo=timezone.utc)
SECOND_HALF_PAST_TWO = datetime(2026, 10, 25, 1, 30, tzinfo=timezone.utc)
IN_SUMMER = datetime(2026, 7, 1, 12, 0, 0, 123456, tzinfo=timezone.utc)

SETTINGS = {
    "utc": {},
    "local time zone": {"TIME_ZONE": "America/New_York"},
    "without zones": {"USE_TZ": False, "TIME_ZONE": "Europe/Berlin"},
    "without zones, half an hour off": {"USE_TZ": False, "TIME_ZONE": "Asia/Kolkata"},
    "database in Tokyo": {"database": "Asia/Tokyo"},
    "database in Berlin": {"TIME_ZONE": "America/New_York", "database": "Europe/Berlin"},
}


@contextmanager
def connected_with(zone):
    """Have the connection think that its database keeps the times of a zone."""
    before = connection.settings_dict["TIME_ZONE"]

    def use(zone):
        connection.close()
        connection.settings_dict["TIME_ZONE"] = zone
        for name in ("timezone", "timezone_name"):
            connection.__dict__.pop(name, None)

    use(zone)
    try:
        yield
    finally:
        use(before)


@pytest.fixture(params=SETTINGS.values(), ids=SETTINGS.keys())
def zones(request, settings):
    given = dict(request.param)
    zone = given.pop("database", None)
    for name, value in given.items():
        setattr(settings, name, value)
    with connected_with(zone):
        yield


@pytest.fixture
def past(zones):
    """An event of each moment, oldest first."""
    moments = (IN_SUMMER, FIRST_HALF_PAST_TWO, SECOND_HALF_PAST_TWO)
    store = DjangoEventStore()
    for number, moment in enumerate(moments):
        (opened,) = Account(str(number)).opened("Ann").new_events
        stored = store.append(f"bank.Account/{number}", -1, [new_event(opened, recorded_at=moment)])
        assert stored[0].recorded_at == moment
    store.head()
    return moments


def new_event(message, recorded_at):
    from rill_django.domain.records import NewEvent

    data = b'{"number":"%s","owner":"Ann","branch":"main"}' % message.number.encode()
    return NewEvent(message.definition.name, data, b"{}", recorded_at)


def test_store_and_models_tell_the_same_moment(past):
    assert [one.recorded_at for one in DjangoEventStore().read().stored()] == list(past)
    events = list(Event.objects.order_by("id"))
    assert [one.recorded_at for one in events] == list(past)
    assert all(one.recorded_at.utcoffset() == timedelta(0) for one in events)
    for moment in past:
        assert Event.objects.filter(recorded_at=moment).count() == 1
    assert Event.objects.filter(recorded_at__gt=FIRST_HALF_PAST_TWO).count() == 1
    assert Event.objects.filter(recorded_at__range=(past[0], past[1])).count() == 2


def test_the_log_as_of_a_moment(past):
    for number, moment in enumerate(past, start=1):
        assert len(list(DjangoEventStore().read().as_of(moment).stored())) == number


def test_a_new_event_has_the_time_it_is(zones):
    before = now() - timedelta(minutes=5)  # The database's clock may be another.
    told = Account.open.transact("1", owner="Ann").events[0].recorded_at
    assert told.utcoffset() == timedelta(0)
    assert before < told < before + timedelta(minutes=10)
    (stored,) = Event.objects.all()
    (loaded,) = DjangoEventStore().load("bank.Account/1")
    assert told == stored.recorded_at == loaded.recorded_at


def test_export_by_time(past):
    def exported(**options):
        out = StringIO()
        arguments = [f"--{name}={value}" for name, value in options.items()]
        call_command("export_events", *arguments, stdout=out, verbosity=0)
        return out.getvalue().count('"type":"bank.Account.opened"')

    assert exported(since="2026-10-25T01:00:00Z") == 1
    assert exported(since="2026-10-25T02:15:00+02:00") == 2
    assert exported(until="2026-10-25T00:45:00Z") == 2


def test_status_health_and_pages_tell_ages(past, client):
    catch_up("bank.Balances")
    assert Balance.objects.count() == 3
    Account.open.transact("9", owner="Ann").unwrap()
    status = next(one for one in projection_statuses() if one.name == "bank.Balances")
    assert status.lag == 1
    assert status.lag_seconds < 600
    assert abs(status.updated_at - now()) < timedelta(minutes=5)
    call_command("projection_status", stdout=StringIO())
    assert list(health.problems_of([status], max_lag=10, max_lag_seconds=600)) == []
    user = get_user_model().objects.create_superuser("root")
    client.force_login(user)
    assert client.get(reverse("admin:rill_django_checkpoint_changelist")).status_code == 200
    page = reverse("admin:rill_django_checkpoint_projection", args=("bank.Balances",))
    assert client.get(page).status_code == 200
    events = reverse("admin:rill_django_event_changelist")
    assert events in client.get(events).request["PATH_INFO"]
    within = client.get(events, {"within": "hour"})
    assert [one.stream for one in within.context["cl"].result_list] == ["bank.Account/9"]


def test_people_see_their_own_time(zones, settings, client):
    client.force_login(get_user_model().objects.create_superuser("root"))
    (opened,) = Account("1").opened("Ann").new_events
    DjangoEventStore().append("bank.Account/1", -1, [new_event(opened, recorded_at=IN_SUMMER)])
    skipped = SkippedEvent.objects.create(
        projection="bank.Balances", position=1, event="bank.Account/1@0", skipped_at=IN_SUMMER
    )
    parked = ParkedEvent.objects.create(
        projection="bank.Balances",
        position=1,
        event="bank.Account/1@0",
        keys=["1"],
        parked_at=IN_SUMMER,
    )
    shown = {
        "UTC": ("12:00:00", "noon"),
        "America/New_York": ("08:00:00", "8 a.m."),
        "Europe/Berlin": ("14:00:00", "2 p.m."),
        "Asia/Kolkata": ("17:30:00", "5:30 p.m."),
    }[settings.TIME_ZONE]
    listed = client.get(reverse("admin:rill_django_event_changelist")).content.decode()
    assert f"2026-07-01 {shown[0]}.123" in listed
    for held in (skipped, parked):
        name = f"admin:rill_django_{held._meta.model_name}_change"
        page = client.get(reverse(name, args=(held.pk,))).content.decode()
        assert f"July 1, 2026, {shown[1]}" in page


def test_checkpoints_and_answers_keep_their_moments(zones):
    for moment in (FIRST_HALF_PAST_TWO, SECOND_HALF_PAST_TWO):
        Checkpoint.objects.create(name=str(moment), updated_at=moment)
        found = Checkpoint.objects.get(name=str(moment))
        assert found.updated_at == moment
        found.save()
        assert Checkpoint.objects.get(updated_at=moment).name == str(moment)
    assert Checkpoint.objects.get(updated_at__lt=SECOND_HALF_PAST_TWO).updated_at == (
        FIRST_HALF_PAST_TWO
    )
    before = now()
    Account.open.transact("1", owner="Ann", idempotency_key="k").unwrap()
    days = (Answer.objects.get().expires_at - before).total_seconds() / 86_400
    assert 6.9 < days < 7.1
    assert Account.open.transact("1", owner="Ann", idempotency_key="k").events


class Reading(Aggregate, name="zones.Reading"):
    number: str = key()
    at: datetime | None = None

    @event
    def taken(self, at: datetime) -> "Reading":
        return self.evolve(at=at)


def test_history_keeps_the_time_at_which_it_happened(zones):
    for number, moment in enumerate((FIRST_HALF_PAST_TWO, SECOND_HALF_PAST_TWO)):
        (result,) = commit_all([Reading(str(number)).taken(moment)], occurred_at=lambda e: e.at)
        assert result.events[0].occurred_at == moment
        assert Reading.get(str(number)).at == moment
