"""A project with django-tenants: its backend sets the search path with every cursor."""

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest
from django.conf import settings
from django.db import connection

from tests.docs.pages import ROOT, blocks

pytestmark = pytest.mark.skipif(
    settings.DATABASES["default"]["ENGINE"] != "django.db.backends.postgresql",
    reason="django-tenants is for PostgreSQL",
)

FILES = {
    "customers/models.py": """
from django.db import models
from django_tenants.models import DomainMixin, TenantMixin

class Client(TenantMixin):
    name = models.CharField(max_length=100)

class Domain(DomainMixin):
    pass
""",
    "bank/domain.py": """
from rill_django import Aggregate, command, event, key

class Account(Aggregate):
    number: str = key()
    owner: str = ""

    @event
    def opened(self, owner: str):
        return self.evolve(owner=owner)

    @command
    def open(self, owner: str):
        return self.opened(owner)
""",
    "bank/models.py": """
from django.db import models

class Line(models.Model):
    text = models.CharField(max_length=200)
""",
    "bank/projections.py": """
from bank.domain import Account
from bank.models import Line
from rill_django import Projection, on

class Lines(Projection):
    models = (Line,)
    partitions = 2

    @on(Account.opened)
    def opened(self, event):
        Line.objects.create(text=event.owner)
""",
    "mysite/settings.py": """
SECRET_KEY = "x" * 50
TENANT_MODEL, TENANT_DOMAIN_MODEL = "customers.Client", "customers.Domain"
DATABASE_ROUTERS = ("django_tenants.routers.TenantSyncRouter",)
ROOT_URLCONF = "mysite.urls"
USE_TZ = True
DEFAULT_AUTO_FIELD = "django.db.models.BigAutoField"
""",
    "mysite/urls.py": "urlpatterns = []\n",
}


@pytest.fixture
def project(tmp_path, transactional_db):
    name = f"{connection.settings_dict['NAME']}_tenants"
    database = {
        **{
            key: connection.settings_dict[key]
            for key in ("HOST", "PORT", "USER", "PASSWORD", "OPTIONS")
        },
        "ENGINE": "django_tenants.postgresql_backend",
        "NAME": name,
    }
    documented, worker = blocks("docs/tenants.md")
    files = {
        **FILES,
        "mysite/settings.py": f"{FILES['mysite/settings.py']}{documented}"
        f"DATABASES = {{'default': {database!r}}}\n",
        "bank/tenants.py": worker,
    }
    for app in ("mysite", "bank", "customers"):
        for folder in (app, f"{app}/migrations"):
            files[f"{folder}/__init__.py"] = ""
    for file, text in files.items():
        path = tmp_path / file
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text)
    with connection.cursor() as cursor:
        cursor.execute(f"DROP DATABASE IF EXISTS {name} WITH (FORCE)")
        cursor.execute(f"CREATE DATABASE {name}")
    yield tmp_path
    with connection.cursor() as cursor:
        cursor.execute(f"DROP DATABASE {name} WITH (FORCE)")


def run(project, *arguments, expected=0):
    done = subprocess.run(
        [sys.executable, *arguments],
        cwd=project,
        env={
            **{name: value for name, value in os.environ.items() if name != "DATABASE_URL"},
            "DJANGO_SETTINGS_MODULE": "mysite.settings",
            "PYTHONPATH": f"{project}{os.pathsep}{ROOT}",
        },
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == expected, done.stdout + done.stderr
    return done.stdout + done.stderr


def test_the_how_to(project):
    said = run(project, str(Path(__file__).with_name("scenario.py")))
    found = json.loads(said.splitlines()[-1])
    whole = {"north": ["north 0"], "south": ["south 0", "south 1"]}
    assert found["check"].startswith("System check identified no issues")
    assert (found["caught up"], found["events"]) == (whole, {"north": 1, "south": 2})
    assert found["checkpoints"] == {"north": 2, "south": 2}
    assert "0 missing, 1 extra" in found["verify"]
    assert found["after verify"] == {**whole, "north": ["north 0", "thief"]}
    assert (found["after rebuild"], found["after workers"]) == (whole, whole)
    assert "up to date" in found["status"]


@pytest.mark.parametrize(
    ("shared", "of_tenants"), [(["rill_django"], ["bank"]), (["bank"], ["rill_django"])]
)
def test_a_log_in_another_schema_than_the_rows(project, shared, of_tenants):
    with (project / "mysite/settings.py").open("a") as file:
        file.write(
            "\nSHARED_APPS = ['django_tenants', 'customers', 'django.contrib.contenttypes', "
            f"'django.contrib.auth', *{shared!r}]\n"
            f"TENANT_APPS = ['django.contrib.contenttypes', *{of_tenants!r}]\n"
            "INSTALLED_APPS = [*SHARED_APPS, *(one for one in TENANT_APPS if one not in SHARED_APPS)]\n"
        )
    assert "rill.E016" in run(project, "-m", "django", "check", expected=1)
