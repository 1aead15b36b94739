"""The pages, through Django's test client."""

import tracemalloc

import pytest
from django.contrib import admin
from django.contrib.auth import get_user_model
from django.test import RequestFactory
from django.urls import reverse

from rill_django import metadata
from rill_django.domain.records import NewEvent
from rill_django.models import Checkpoint, Event
from rill_django.projections.worker import ProjectionWorker
from rill_django.store.orm import DjangoEventStore
from rill_django.testing import isolated_projections
from rill_django.testing.contracts import new_events
from tests.bank.domain import Account

pytestmark = pytest.mark.django_db

EVENTS = reverse("admin:rill_django_event_changelist")
PROJECTIONS = reverse("admin:rill_django_checkpoint_changelist")


@pytest.fixture
def page(admin_client):
    def get(url, **query):
        response = admin_client.get(url, query, follow=True)
        assert response.status_code == 200
        return response.content.decode()

    return get


@pytest.fixture
def history():
    with metadata(actor="ann", reason="because"):
        Account.open.transact("12345678", "Ann <script>").unwrap()
        Account.deposit.transact("12345678", 100).unwrap()
    Account.open.transact("777", "Bob").unwrap()
    DjangoEventStore().append("old.Thing/1", -1, new_events("x", type="old.Thing.vanished"))
    DjangoEventStore().sequence()


def listed(html):
    return [
        event
        for event in ("opened", "deposited", "vanished")
        if f"<strong>{event}</strong>" in html
    ]


def test_the_list_shows_time_stream_type_version_and_actor(history, page):
    html = page(EVENTS)
    assert listed(html) == ["opened", "deposited", "vanished"]
    assert "bank.Account/12345678" in html
    assert "ann" in html


def test_a_type_that_the_code_does_not_know_is_marked(history, page):
    assert page(EVENTS).count("rill-mark") == 1


@pytest.mark.parametrize(
    ("term", "found"),
    [
        ("bank.Account/1234", ["opened", "deposited"]),
        ("bank.Account/12345678@1", ["deposited"]),
        ("777", ["opened"]),
        ("4", ["vanished"]),
        ("12345678", ["opened", "deposited"]),
        ("old.", ["vanished"]),
        ("nothing like it", []),
        ("99999999999999999999999", []),
    ],
)
def test_searching(history, page, term, found):
    assert listed(page(EVENTS, q=term)) == found


def test_filters(history, page):
    assert listed(page(EVENTS, type="bank.Account.deposited")) == ["deposited"]
    assert listed(page(EVENTS, within="hour")) == ["opened", "deposited", "vanished"]
    assert listed(page(EVENTS, stream__exact="bank.Account/777")) == ["opened"]


def test_the_list_takes_few_queries(history, admin_client, django_assert_max_num_queries):
    with django_assert_max_num_queries(6):
        admin_client.get(EVENTS)


def test_an_event_is_shown_with_readable_json(history, page):
    event = Event.objects.get(stream="bank.Account/12345678", version=0)
    html = page(reverse("admin:rill_django_event_change", args=(event.pk,)))
    assert "&quot;owner&quot;: &quot;Ann &lt;script&gt;&quot;" in html
    assert "The account was opened for its owner." in html
    assert "&quot;reason&quot;: &quot;because&quot;" in html
    assert "→ 1" in html
    assert "<script>&quot;" not in html


def test_an_event_of_an_unknown_type_is_shown_too(history, page):
    event = Event.objects.get(stream="old.Thing/1")
    html = page(reverse("admin:rill_django_event_change", args=(event.pk,)))
    assert "does not know this type" in html
    assert ">None<" not in html
    assert "It is the only one so far." in html


@pytest.mark.parametrize("model", ["event", "checkpoint"])
def test_nothing_can_be_added_changed_or_deleted(history, admin_client, model):
    ProjectionWorker().run_until_caught_up()
    rows = Event.objects if model == "event" else Checkpoint.objects
    key = rows.first().pk
    assert admin_client.get(reverse(f"admin:rill_django_{model}_add")).status_code == 403
    delete = reverse(f"admin:rill_django_{model}_delete", args=(key,))
    assert admin_client.post(delete, {"post": "yes"}).status_code == 403
    change = reverse(f"admin:rill_django_{model}_change", args=(key,))
    assert admin_client.post(change, {"version": 9}).status_code == 403


def test_projections_are_shown_with_position_and_lag(history, page):
    assert "never run" in page(PROJECTIONS)
    ProjectionWorker(["bank.Balances"], batch_size=2).run_once()
    html = page(PROJECTIONS)
    assert "bank.Balances" in html
    assert ">behind<" in html
    ProjectionWorker().run_until_caught_up()
    assert ">up to date<" in page(PROJECTIONS)


def test_a_projection_that_stands_still_shows_why(history, page, monkeypatch):
    worker = ProjectionWorker(["bank.Balances"])
    (balances,) = worker.projections

    def fails(self, row, event):
        raise ValueError("no such luck")

    monkeypatch.setattr(type(balances), "handlers", {"bank.Account.deposited": fails})
    worker.run_until_caught_up()
    html = page(PROJECTIONS)
    assert "It stands still at bank.Account/12345678@1" in html
    assert "no such luck" in html
    detail = page(
        reverse("admin:rill_django_checkpoint_change", args=(Checkpoint.objects.get().pk,))
    )
    assert "no such luck" in detail


def test_without_projections_the_page_says_what_to_do(page):
    with isolated_projections():
        assert "There are no projections yet" in page(PROJECTIONS)


def test_the_projections_page_needs_its_permission(client):
    client.force_login(get_user_model().objects.create_user("staff", is_staff=True))
    assert client.get(PROJECTIONS).status_code == 403


def test_counting_stops_at_a_cap(history, monkeypatch, page):
    assert "4 results" in page(EVENTS)
    monkeypatch.setattr("rill_django.admin.paging.MOST_COUNTED", 2)
    assert "2+ results" in page(EVENTS)
    request = RequestFactory().get(EVENTS)
    request.user = get_user_model().objects.create_superuser("root")
    changelist = admin.site.get_model_admin(Event).get_changelist_instance(request)
    assert changelist.paginator.count == 2


def long_events(data, number):
    """Append so many events with this payload, as it is."""
    for version in range(-1, number - 1, 5):
        event = NewEvent("letters.Letter.written", data, b'{"actor":"%s"}' % (b"a" * 500))
        DjangoEventStore().append("letters.Letter/1", version, [event] * 5)


def test_a_list_of_long_payloads_takes_up_little(admin_client):
    long_events(b'{"text":"%s"}' % (b"x" * 900_000), 30)
    admin_client.get(EVENTS)
    tracemalloc.start()
    html = admin_client.get(EVENTS).content.decode()
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert html.count("<strong>written</strong>") == 30
    assert peak < 10_000_000
    assert "a" * 99 in html
    assert "a" * 101 not in html


def test_a_payload_is_shown_as_far_as_somebody_would_read_it(admin_client):
    """Indented, this one is twenty megabytes. MariaDB takes no deeper ones."""
    long_events(b'{"deep":%s%s%s}' % (b"[" * 20, b"1," * 400_000 + b"1", b"]" * 20), 5)
    url = reverse("admin:rill_django_event_change", args=(Event.objects.first().pk,))
    tracemalloc.start()
    html = admin_client.get(url).content.decode()
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert "Only the beginning is shown." in html
    assert len(html) < 200_000
    assert peak < 40_000_000
