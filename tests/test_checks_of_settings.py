"""What is wrong in the setting ``RILL`` is an error of ``manage.py check``, and never opens the API."""

import os
import subprocess
import sys
from pathlib import Path

import pytest
from django.core.checks import run_checks
from django.core.exceptions import ImproperlyConfigured
from django.core.management import call_command
from django.core.management.base import SystemCheckError
from django.test import Client
from rest_framework.permissions import IsAdminUser, IsAuthenticated

from rill_django.checks_of_settings import check_flush, check_settings

PATHS = (
    "/api/",
    "/api/events/",
    "/api/streams/bank.Account%2F1/",
    "/api/commands/bank.Account.open/",
)

OR = IsAuthenticated | IsAdminUser
NO_PERMISSIONS = [
    [],
    ["rest_framework.permissions.IsAuthentcated"],
    ["rest_framework.permissions.IsAuthenticated", "nowhere.Permission"],
    ["IsAuthenticated"],
    [""],
    ["builtins.object"],
    ["builtins.print"],
    ["rest_framework.views.APIView"],
    ["tests.test_checks_of_settings.PATHS"],
    ["tests.broken_permissions.Permission"],
]


def test_nothing_is_wrong_with_nothing(settings):
    settings.RILL = {}
    assert check_settings(None) == []
    del settings.RILL
    assert check_settings(None) == []


@pytest.mark.parametrize(
    "name",
    ["rest_framework.permissions.AllowAny", "tests.test_checks_of_settings.OR"],
)
def test_permissions_that_are_some(settings, name):
    settings.RILL = {"API_PERMISSIONS": [name]}
    assert check_settings(None) == []


@pytest.mark.parametrize(
    "given", [{"CACHE_SIZES": 1}, {"CACHE_SIZE": "1"}, {"BATCH_SIZE": 0, "POLL_INTERVAL": -1}, []]
)
def test_every_mistake_is_an_error(settings, given):
    settings.RILL = given
    errors = check_settings(None)
    assert {error.id for error in errors} == {"rill.E014"}
    assert len(errors) == max(1, len(given))
    with pytest.raises(SystemCheckError, match=r"rill\.E014"):
        call_command("check")


@pytest.mark.django_db
@pytest.mark.parametrize("permissions", NO_PERMISSIONS, ids=str)
def test_permissions_that_are_none_are_an_error_and_close_the_api(
    settings, permissions, admin_user
):
    settings.RILL = {"API_PERMISSIONS": permissions}
    (error,) = check_settings(None)
    assert error.id == "rill.E015"
    assert "API_PERMISSIONS" in error.msg
    with pytest.raises(SystemCheckError, match=r"rill\.E015"):
        call_command("check")
    for signed_in in (False, True):
        client = Client()
        if signed_in:
            client.force_login(admin_user)
        for path in PATHS:
            for method in (client.get, client.post, client.options, client.head):
                with pytest.raises(ImproperlyConfigured, match="API_PERMISSIONS"):
                    method(path)


@pytest.mark.django_db
def test_a_change_of_the_permissions_is_seen(settings, client):
    settings.RILL = {"API_PERMISSIONS": ["rest_framework.permissions.AllowAny"]}
    assert client.get("/api/").status_code == 200
    settings.RILL = {}
    assert client.get("/api/").status_code in (401, 403)


@pytest.mark.parametrize(
    ("given", "said"),
    [
        ({"API_PERMISSIONS": []}, "rill.E015"),
        ({"API_PERMISSIONS": ["no.such.Class"]}, "rill.E015"),
        ({"API_PERMISSION": ["no.such.Class"]}, "Did you mean 'API_PERMISSIONS'?"),
    ],
)
def test_a_process_says_so_too(tmp_path, given, said):
    (tmp_path / "wrong_settings.py").write_text(f"from tests.settings import *\nRILL = {given!r}\n")
    root = Path(__file__).parent.parent
    done = subprocess.run(
        [sys.executable, "manage.py", "check"],
        capture_output=True,
        text=True,
        cwd=root,
        env={
            **os.environ,
            "DJANGO_SETTINGS_MODULE": "wrong_settings",
            "PYTHONPATH": os.pathsep.join([str(tmp_path), str(root)]),
        },
    )
    assert done.returncode == 1
    assert said in done.stderr


@pytest.mark.parametrize("given", [{}, [], {"ALLOW_FLUSH": False}, {"ALLOW_FLUSH": None}])
def test_a_log_that_nobody_may_empty_is_fit_for_production(settings, given):
    settings.RILL = given
    assert check_flush(None) == []


def test_a_log_that_may_be_emptied_is_warned_of_before_a_deployment(settings):
    settings.RILL = {"ALLOW_FLUSH": True}
    assert "rill.W009" not in {one.id for one in run_checks()}
    (warning,) = (
        one for one in run_checks(include_deployment_checks=True) if one.id == "rill.W009"
    )
    assert "flush" in warning.msg
    assert "take it out again" in warning.hint
