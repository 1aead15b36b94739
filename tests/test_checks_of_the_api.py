"""The API's pages need templates, which come with an app that is easily forgotten."""

import pytest
from django.core.checks import run_checks
from django.test import Client
from django.urls import include, path

from rill_django.checks_of_the_api import check_rest_framework

urlpatterns = [
    path("deep/", include([path("down/", include("rill_django.api.urls"))])),
]


def without_the_framework(settings):
    settings.INSTALLED_APPS = [one for one in settings.INSTALLED_APPS if one != "rest_framework"]


def test_the_app_is_there():
    assert check_rest_framework(None) == []


def test_the_app_was_forgotten(settings):
    without_the_framework(settings)
    settings.ROOT_URLCONF = __name__
    (error,) = [one for one in run_checks() if one.id == "rill.E017"]
    assert "'rest_framework' is not in INSTALLED_APPS" in error.msg
    assert error.hint == "Add 'rest_framework' to INSTALLED_APPS."


@pytest.mark.django_db
def test_it_is_what_the_check_says(settings, admin_user):
    without_the_framework(settings)
    settings.ROOT_URLCONF = __name__
    client = Client(raise_request_exception=False)
    client.force_login(admin_user)
    assert client.get("/deep/down/", headers={"accept": "text/html"}).status_code == 500
    assert client.get("/deep/down/", headers={"accept": "application/json"}).status_code == 200


def test_who_has_no_api_needs_no_app(settings):
    without_the_framework(settings)
    settings.ROOT_URLCONF = "example_project.registration.urls"
    assert check_rest_framework(None) == []
    settings.ROOT_URLCONF = None
    assert check_rest_framework(None) == []
