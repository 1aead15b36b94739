"""What drf-spectacular says of the endpoints: nothing is missing, nothing is warned of."""

import subprocess
import sys

import pytest

PROJECT = """
import django
from django.conf import settings
settings.configure(
    INSTALLED_APPS=["django.contrib.contenttypes", "django.contrib.auth", "rest_framework",
                    "drf_spectacular", "rill_django"],
    DATABASES={"default": {"ENGINE": "django.db.backends.sqlite3", "NAME": ":memory:"}},
    REST_FRAMEWORK={"DEFAULT_SCHEMA_CLASS": "drf_spectacular.openapi.AutoSchema", **VERSIONING},
    ROOT_URLCONF="__main__", SECRET_KEY="x",
)
django.setup()
from django.core.management import call_command
from django.urls import include, path
urlpatterns = [path(prefix, include("rill_django.api.urls", namespace=f"n{number}"))
               for number, prefix in enumerate(PREFIXES)]
call_command("spectacular", "--fail-on-warn", "--validate", *WORDS)
"""


@pytest.mark.parametrize(
    ("prefixes", "versioning", "words"),
    [
        (["api/"], {}, []),
        (["public/", "internal/", "<slug:tenant>/rill/"], {}, []),
        (
            ["<str:version>/"],
            {"DEFAULT_VERSIONING_CLASS": "rest_framework.versioning.URLPathVersioning"},
            ["--api-version", "v1"],
        ),
    ],
)
def test_the_schema_is_made_without_a_warning(prefixes, versioning, words):
    code = f"PREFIXES, VERSIONING, WORDS = {prefixes!r}, {versioning!r}, {words!r}\n{PROJECT}"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    assert "Error" not in done.stderr
    assert "Warning" not in done.stderr
    for said in ("commands/{type}/", "events/", "streams/{stream}/", "RillProblem", "If-Match"):
        assert said in done.stdout
