"""Parked and skipped events in the admin."""

import pytest
from django.urls import reverse

from rill_django.models import ParkedEvent, SkippedEvent

pytestmark = pytest.mark.django_db

FAILURE = "Traceback (most recent call last):\n  …\nValueError: no such luck\n"


@pytest.fixture
def held():
    parked = {"projection": "bank.Balances", "keys": ["1"]}
    ParkedEvent.objects.create(position=3, event="bank.Account/1@0", error=FAILURE, **parked)
    ParkedEvent.objects.create(position=5, event="bank.Account/1@1", **parked)
    SkippedEvent.objects.create(
        projection="bank.Balances",
        position=7,
        event="bank.Account/2@0",
        error=FAILURE,
        reason="test",
    )


def test_parked_events_say_what_they_wait_for(held, admin_client):
    html = admin_client.get(reverse("admin:rill_django_parkedevent_changelist")).content.decode()
    assert "ValueError: no such luck" in html
    assert "waits behind an earlier event" in html


def test_skipped_events_say_why(held, admin_client):
    url = reverse("admin:rill_django_skippedevent_changelist")
    assert ">test<" in admin_client.get(url).content.decode()
    detail = reverse("admin:rill_django_skippedevent_change", args=(SkippedEvent.objects.get().pk,))
    html = admin_client.get(detail).content.decode()
    assert "Traceback (most recent call last)" in html
    assert "None" not in html
    assert "q=bank.Account/2%400" in html or "q=bank.Account%2F2%400" in html


@pytest.mark.parametrize("model", ["parkedevent", "skippedevent"])
def test_they_are_not_changed_here(held, admin_client, model):
    assert admin_client.get(reverse(f"admin:rill_django_{model}_add")).status_code == 403
