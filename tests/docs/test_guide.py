"""The guide, from top to bottom, in a project of its own, on the database that the suite is run on."""

from contextlib import contextmanager

import pytest
from django.db import connection

from tests.docs.pages import Block, python_blocks
from tests.docs.project import new_project

API = """
from django.contrib.auth.models import User
from django.test import Client

User.objects.create_superuser("admin", password="secret")
import base64
client = Client(headers={"authorization": "Basic " + base64.b64encode(b"admin:secret").decode()})
for path in ("/api/", "/api/events/", "/api/streams/bank.Account/1/"):
    assert client.get(path, headers={"host": "localhost"}).status_code == 200, path
sent = client.post(
    "/api/commands/bank.Account.deposit/",
    {"number": "1", "amount": "20"},
    "application/json",
    headers={"host": "localhost"},
)
assert sent.status_code == 200, sent.content
"""


@contextmanager
def database_of_its_own():
    """Settings of a database for the project; ``None``: the SQLite that it has."""
    if connection.vendor == "sqlite":
        yield None
        return
    name = f"{connection.settings_dict['NAME']}_guide"
    given = {
        key: connection.settings_dict[key]
        for key in ("ENGINE", "HOST", "PORT", "USER", "PASSWORD", "OPTIONS")
    }
    force = " WITH (FORCE)" if connection.vendor == "postgresql" else ""
    with connection.cursor() as cursor:
        cursor.execute(f"DROP DATABASE IF EXISTS {name}{force}")
        cursor.execute(f"CREATE DATABASE {name}")
    try:
        yield {**given, "NAME": name}
    finally:
        with connection.cursor() as cursor:
            cursor.execute(f"DROP DATABASE {name}{force}")


@pytest.mark.django_db(transaction=True)
def test_the_guide(tmp_path):
    with database_of_its_own() as database:
        project = new_project(tmp_path)
        if database is not None:
            with (tmp_path / "mysite/settings.py").open("a") as settings:
                settings.write(f"DATABASES = {{'default': {database!r}}}\n")
        project.follow("docs/guide.md", shell=False)
        # On MySQL and MariaDB rill.W007 warns of the keys, as the page says.
        level = "ERROR" if connection.vendor == "mysql" else "WARNING"
        project.manage("check", "--database", "default", "--fail-level", level)
        given = python_blocks("docs/guide.md")
        project.shell([block for block in given if block.file is None])
        assert project.has_done_all_of("docs/guide.md")
        project.shell([Block("tests/docs/test_guide.py", 1, "python", API)])
        project.manage("run_projections", "--once")
        project.manage("rebuild_projections", "--verify")
