"""On every admin site, with whatever is registered there, pages lead to pages of that site only."""

from html.parser import HTMLParser
from urllib.parse import urljoin, urlsplit

import pytest
from django.contrib import admin
from django.contrib.admin import AdminSite
from django.contrib.auth import get_user_model
from django.contrib.auth.models import Permission
from django.test import Client

from rill_django import Projection, on
from rill_django.admin import EventAdmin, register
from rill_django.models import Checkpoint, Event, ParkedEvent, SkippedEvent
from rill_django.projections.mending import skip
from rill_django.projections.projection import PARK
from rill_django.projections.worker import ProjectionWorker
from rill_django.testing import isolated_projections
from tests.admin.sites import SITES
from tests.bank.domain import Account
from tests.bank.models import AuditLine, Balance

pytestmark = [pytest.mark.django_db, pytest.mark.urls("tests.admin.sites")]

LEFT_OUT = ("/logout/", "/password_change/", "/jsi18n/")


@pytest.fixture(autouse=True)
def trouble(monkeypatch):
    """Rows, and projections that stand still, park and have left something out."""
    monkeypatch.setattr("rill_django.projections.pace.FIRST_PAUSE_SECONDS", 0.001)
    for number in ("1", "Zoë", "a/b"):
        Account.open.transact(number, "Ann").unwrap()
        Account.deposit.transact(number, 5).unwrap()
    with isolated_projections():

        class Stops(Projection):
            name = "tests.Stops"
            models = (AuditLine,)

            @on(Account.opened)
            def happened(self, event):
                raise ValueError("no")

        class Parks(Stops):
            name = "tests.Parks"
            models = (Balance,)
            on_error = PARK

        ProjectionWorker().run_until_caught_up()
        skip(Parks(), ParkedEvent.objects.earliest("position").event, "never mind")
        assert ParkedEvent.objects.exists()
        assert SkippedEvent.objects.exists()
        Balance.objects.create(number="1", owner="Ann")
        yield


class Page(HTMLParser):
    def __init__(self, html):
        super().__init__()
        self.links = set()
        self.forms = set()
        self.feed(html)

    def handle_starttag(self, tag, attributes):
        attributes = dict(attributes)
        if tag == "a" and attributes.get("href"):
            self.links.add(attributes["href"])
        if tag == "form" and attributes.get("action"):
            self.forms.add(attributes["action"])


def crawl(client, root):
    """Return the pages of a site, by address: all that can be reached, each of which has to answer."""
    pages = {}
    left = [root]
    while left:
        url = left.pop()
        if url in pages or any(part in url for part in LEFT_OUT):
            continue
        response = client.get(url)
        assert response.status_code == 200, (url, response.status_code)
        html = pages[url] = response.content.decode()
        page = Page(html)
        for link in page.links | page.forms:
            address = urlsplit(urljoin(url, link))
            assert address.path.startswith(root) or address.path == "/", (url, link)
        for link in page.links:
            address = urlsplit(urljoin(url, link))
            narrowing = [one for one in address.query.split("&") if one[:1] not in ("", "_")]
            # Lists can be narrowed and sorted in more ways than anybody wants to see.
            if address.path.startswith(root) and len(narrowing) < 2 and "o=" not in address.query:
                left.append(f"{address.path}?{'&'.join(narrowing)}".rstrip("?"))
    return pages


@pytest.mark.parametrize("name", SITES)
def test_all_pages_work_and_stay_on_their_site(admin_client, name):
    pages = crawl(admin_client, f"/{name}/")
    assert len(pages) > 3
    shown = "".join(pages.values())
    site = SITES[name]
    if site.is_registered(Event) and name not in ("with-others", "with-a-closed-log"):
        event = Event.objects.get(stream="bank.Account/1", version=1)
        assert f"/{name}/rill_django/event/{event.pk}/change/" in pages
    if site.is_registered(ParkedEvent):
        assert ParkedEvent.objects.first().event in shown


PERMISSIONS = ("view_event", "view_checkpoint", "change_checkpoint", "view_parkedevent")


@pytest.mark.parametrize("permission", PERMISSIONS)
def test_pages_lead_nowhere_that_the_user_may_not_go(permission):
    user = get_user_model().objects.create_user("staff", is_staff=True)
    user.user_permissions.set(Permission.objects.filter(codename=permission))
    client = Client()
    client.force_login(user)
    assert len(crawl(client, "/everything/")) > 3


@pytest.mark.parametrize("name", ["everything", "without-the-log", "projections-alone"])
def test_what_is_done_leads_back_to_the_site(admin_client, name):
    root = f"/{name}/rill_django/checkpoint"
    parked = ParkedEvent.objects.filter(error__gt="").first().event
    for url, data in (
        (f"{root}/retry/tests.Stops/", {}),
        (f"{root}/skip/tests.Parks/?event={parked.replace('%', '%25')}", {"reason": "gone"}),
        (f"{root}/skip/tests.Parks/?event=nothing", {"reason": "gone"}),
    ):
        response = admin_client.post(url, data)
        assert response.status_code == 302
        assert response.url.startswith(f"{root}/projection/tests.")
        assert admin_client.get(response.url).status_code == 200
    assert SkippedEvent.objects.filter(event=parked, reason="gone").exists()


def test_rows_lead_to_their_events_where_these_can_be_seen(admin_client):
    shown = {}
    for name in ("everything", "without-the-log", "rows-alone", "with-others", "with-a-closed-log"):
        html = admin_client.get(f"/{name}/bank/balance/1/change/").content.decode()
        assert "bank.Account/1" in html
        shown[name] = f'href="/{name}/rill_django/event/?stream__exact=bank.Account' in html
    assert shown == {
        "everything": True,
        "without-the-log": False,
        "rows-alone": False,
        "with-others": True,
        "with-a-closed-log": False,
    }


def test_a_list_may_have_links_too(admin_client):
    html = admin_client.get("/of-a-class-of-its-own/rill_django/event/").content.decode()
    assert 'href="/of-a-class-of-its-own/rill_django/event/?stream__exact=bank.Account' in html


def test_a_site_may_have_admins_of_its_own_before_ours():
    site = AdminSite("first")

    class Mine(EventAdmin):
        pass

    site.register(Event, Mine)
    register(site)
    assert type(site.get_model_admin(Event)) is Mine
    assert site.is_registered(Checkpoint)
    assert admin.site.is_registered(Event)
