"""The routes work wherever they are included, and their links lead to where they were asked."""

import sys
from types import ModuleType

import pytest
from django.contrib.auth import get_user_model
from django.urls import clear_script_prefix, include, path, re_path, set_script_prefix
from rest_framework.test import APIClient

from rill_django.api.base import RillView

pytestmark = pytest.mark.django_db

API = "rill_django.api.urls"


@pytest.fixture
def client():
    client = APIClient()
    client.force_authenticate(get_user_model().objects.create_user("ann"))
    return client


@pytest.fixture
def routes(settings, monkeypatch):
    def routes(*patterns):
        module = ModuleType("tests.api.some_urls")
        module.urlpatterns = list(patterns)
        monkeypatch.setitem(sys.modules, module.__name__, module)
        settings.ROOT_URLCONF = module.__name__

    return routes


@pytest.fixture
def versioned(monkeypatch):
    def versioned(name):
        from rest_framework import versioning

        class Scheme(getattr(versioning, name)):
            default_version = "v1"
            allowed_versions = ("v1", "v2")

        monkeypatch.setattr(RillView, "versioning_class", Scheme)

    return versioned


def assert_all_work(client, root, **extra):
    """Follow the links of the root to the end."""
    response = client.get(root, **extra)
    assert response.status_code == 200, response.content
    body = response.json()
    base, _, query = f"http://testserver{root}".partition("?")
    query = query and f"?{query}"
    assert body["events"] == f"{base}events/{query}"
    command = body["commands"]["bank.Account.open"]["url"]
    assert command == f"{base}commands/bank.Account.open/{query}"
    sent = client.post(command, {"number": "1", "owner": "Ann"}, format="json", **extra)
    assert sent.status_code == 200, sent.content
    events = client.get(body["events"], **extra).json()["events"]
    assert [one["stream"] for one in events] == ["bank.Account/1"]
    stream = client.get(f"{base}streams/bank.Account/1/{query}", **extra)
    assert stream["ETag"] == '"0"'


@pytest.mark.parametrize(
    ("pattern", "root"),
    [
        (path("", include(API)), "/"),
        (path("a/b/c/", include(API)), "/a/b/c/"),
        (path("<slug:tenant>/rill/", include(API)), "/acme/rill/"),
        (path("<str:name>/", include(API)), "/a%20b%2525/"),
        (path("<slug:type>/<slug:stream>/", include(API)), "/one/two/"),
        (re_path(r"^t/(\w+)/", include(API)), "/t/acme/"),
        (re_path(r"^t/(?P<tenant>\w+)/", include(API)), "/t/acme/"),
        (path("x/", include(API, namespace="other")), "/x/"),
        (path("v/", include(([path("y/", include(API))], "outer"))), "/v/y/"),
        (path("v/", include(([path("y/", include(API, namespace="i"))], "o"), "p")), "/v/y/"),
    ],
)
def test_under_any_prefix_and_namespace(client, routes, pattern, root):
    routes(pattern)
    assert_all_work(client, root)


@pytest.mark.parametrize("root", ["/public/", "/internal/"])
def test_twice(client, routes, root):
    routes(
        path("public/", include(API, namespace="public")),
        path("internal/", include(API, namespace="internal")),
    )
    assert_all_work(client, root)


def test_under_a_script_name(client, routes):
    routes(path("api/", include(API)))
    set_script_prefix("/site/")
    try:
        body = client.get("/api/", SCRIPT_NAME="/site").json()
    finally:
        clear_script_prefix()
    assert body["events"] == "http://testserver/site/api/events/"


@pytest.mark.parametrize(
    ("scheme", "pattern", "root", "extra"),
    [
        ("URLPathVersioning", path("<str:version>/api/", include(API)), "/v2/api/", {}),
        ("NamespaceVersioning", path("x/", include(API, namespace="v2")), "/x/", {}),
        (
            "NamespaceVersioning",
            path("x/", include(([path("y/", include(API))], "v2"))),
            "/x/y/",
            {},
        ),
        ("QueryParameterVersioning", path("x/", include(API)), "/x/?version=v2", {}),
        (
            "AcceptHeaderVersioning",
            path("x/", include(API)),
            "/x/",
            {"HTTP_ACCEPT": "application/json; version=v2"},
        ),
        ("HostNameVersioning", path("x/", include(API)), "/x/", {}),
    ],
)
def test_under_any_versioning(client, routes, versioned, settings, scheme, pattern, root, extra):
    settings.ALLOWED_HOSTS = ["*"]
    routes(pattern)
    versioned(scheme)
    if scheme == "HostNameVersioning":
        response = client.get(root, HTTP_HOST="v2.example.org")
        assert response.json()["events"] == "http://v2.example.org/x/events/"
        return
    assert_all_work(client, root, **extra)


@pytest.mark.parametrize(
    ("scheme", "root", "extra"),
    [
        ("URLPathVersioning", "/v9/api/", {}),
        ("QueryParameterVersioning", "/v9/api/?version=v9", {}),
        ("AcceptHeaderVersioning", "/v9/api/", {"HTTP_ACCEPT": "application/json; version=v9"}),
    ],
)
def test_a_version_that_there_is_not_is_a_problem(client, routes, versioned, scheme, root, extra):
    routes(path("<str:version>/api/", include(API)))
    versioned(scheme)
    response = client.get(root, **extra)
    assert response.status_code in (404, 406)
    assert response["Content-Type"].startswith("application/problem+json")
