"""Whatever is asked for in an address or a form, the answer is no error of the server's."""

from urllib.parse import quote

import pytest
from django.urls import reverse

from rill_django import Projection, on
from rill_django.models import Event, ParkedEvent, SkippedEvent
from rill_django.projections.worker import ProjectionWorker
from rill_django.testing import isolated_projections
from tests.bank.domain import Account
from tests.bank.models import AuditLine

pytestmark = pytest.mark.django_db

VALUES = {
    "NUL": "%00",
    "NUL inside": "bank.Account%2F1%00%400",
    "half a surrogate pair": "%ED%A0%80",
    "giant number": "9" * 5_000,
    "beyond 64 bits": "9" * 19,
    "other digits": quote("bank.Account/1@٣²"),
    "giant version": "bank.Account%2F1%40" + "9" * 400,
    "slashes and signs": "%2F" * 2_000 + quote("%_\\'\"*?[]{}();--\U0010ffff"),
}
LISTS = {
    "event": ("q", "p", "o", "type", "within", "stream__exact", "version", "recorded_at__gte"),
    "parkedevent": ("q", "p", "projection", "position__gt"),
    "skippedevent": ("q", "reason"),
    "checkpoint": ("q", "name"),
}


@pytest.fixture(autouse=True)
def _some():
    Account.open.transact("1", "Ann").unwrap()
    ParkedEvent.objects.create(position=1, event="bank.Account/1@0", projection="p", keys=["1"])
    SkippedEvent.objects.create(
        position=1, event="bank.Account/1@0", projection="p", error="", reason="r"
    )


@pytest.mark.parametrize("value", VALUES)
@pytest.mark.parametrize("model", LISTS)
def test_of_a_list(admin_client, model, value):
    url = reverse(f"admin:rill_django_{model}_changelist")
    for name in LISTS[model]:
        response = admin_client.get(f"{url}?{name}={VALUES[value]}", follow=True)
        assert response.status_code in (200, 400), (name, response.status_code)
    response = admin_client.get(f"{url}?{VALUES[value]}=1", follow=True)
    assert response.status_code == 200


@pytest.mark.parametrize("value", VALUES)
@pytest.mark.parametrize("model", LISTS)
def test_of_a_page(admin_client, model, value):
    for page in ("change", "history", "delete"):
        url = f"/admin/rill_django/{model}/{VALUES[value]}/{page}/"
        assert admin_client.get(url, follow=True).status_code in (200, 403, 404)
    key = Event.objects.get().pk
    url = reverse("admin:rill_django_event_history", args=(key,))
    assert admin_client.get(f"{url}?p={VALUES[value]}").status_code == 200
    url = reverse("admin:rill_django_event_change", args=(key,))
    assert admin_client.get(f"{url}?_changelist_filters={VALUES[value]}").status_code == 200


@pytest.fixture
def stopped(monkeypatch):
    monkeypatch.setattr("rill_django.projections.pace.FIRST_PAUSE_SECONDS", 0.001)
    with isolated_projections():

        class Stops(Projection):
            name = "tests.Stops"
            models = (AuditLine,)

            @on(Account.opened)
            def happened(self, event):
                raise ValueError("no")

        ProjectionWorker().run_until_caught_up()
        yield


@pytest.mark.usefixtures("stopped")
@pytest.mark.parametrize("value", VALUES)
def test_of_a_projections_pages(admin_client, value):
    given = VALUES[value]
    root = "/admin/rill_django/checkpoint"
    for page in ("projection", "retry", "skip"):
        response = admin_client.get(f"{root}/{page}/{given}/")
        assert response.status_code in (404, 405), page
    for method in (admin_client.get, admin_client.post):
        response = method(f"{root}/skip/tests.Stops/?event={given}", follow=True)
        assert response.status_code == 200
        assert "does not wait for" in response.content.decode()
    asked = f"{root}/skip/tests.Stops/?event=bank.Account%2F1%400"
    response = admin_client.post(
        asked, f"reason={given}", content_type="application/x-www-form-urlencoded", follow=True
    )
    assert response.status_code == 200
    was_skipped = SkippedEvent.objects.filter(projection="tests.Stops").exists()
    assert was_skipped is ("NUL" not in value)
