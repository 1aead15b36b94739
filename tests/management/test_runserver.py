"""`runserver_with_projections`: in processes of its own, on a SQLite file."""

import os
import re
import signal
import sqlite3
import subprocess
import sys
import time
from contextlib import closing, contextmanager, suppress
from pathlib import Path

import pytest
from django.conf import settings

from rill_django.management import background
from rill_django.management.background import BackgroundWorker
from rill_django.projections.registry import UnknownProjection
from tests import patience
from tests.once import once

pytestmark = once

SETTINGS = """
SECRET_KEY = "x"
DEBUG = USE_TZ = True
INSTALLED_APPS = [{apps} "rill_django", "shop"]
ROOT_URLCONF = "urls"
STATIC_URL = "static/"
DATABASES = {{"default": {{
    "ENGINE": "django.db.backends.sqlite3",
    "NAME": {database!r},
    "OPTIONS": {{"transaction_mode": "IMMEDIATE", "timeout": 20}},
}}}}
"""
DOMAIN = """
from rill_django import Aggregate, command, event, key
class Order(Aggregate):
    number: str = key()
    @event
    def placed(self) -> "Order":
        return self
    @command
    def place(self) -> "Order":
        return self.placed()
"""
PROJECTIONS = """
from rill_django import RowProjection, on
from shop.domain import Order
from shop.models import Line
class Lines(RowProjection):
    model = Line
    key = "number"
    @on(Order.placed)
    def placed(self, row, event):
        row.text = "{text}"
"""
MODELS = """
from django.db import models
class Line(models.Model):
    number = models.CharField(max_length=30, primary_key=True)
    text = models.CharField(max_length=30)
"""


class Site:
    """A project in a folder, and its development server."""

    def __init__(self, folder: Path, apps: str) -> None:
        self.folder, self.database = folder, folder / "db.sqlite3"
        self.said = folder / "said.txt"
        (folder / "shop").mkdir()
        for name, text in (
            ("settings.py", SETTINGS.format(apps=apps, database=str(self.database))),
            ("urls.py", "urlpatterns = []\n"),
            ("shop/__init__.py", ""),
            ("shop/domain.py", DOMAIN),
            ("shop/models.py", MODELS),
            ("shop/projections.py", PROJECTIONS.format(text="first")),
        ):
            (folder / name).write_text(text)
        self.manage("makemigrations", "shop", "-v0")
        self.manage("migrate", "-v0")

    @property
    def process_options(self):
        return {
            "cwd": self.folder,
            "env": {
                **os.environ,
                "DJANGO_SETTINGS_MODULE": "settings",
                "PYTHONPATH": f"{settings.BASE_DIR}{os.pathsep}{self.folder}",
                "PYTHONUNBUFFERED": "1",
                "PYTHONDONTWRITEBYTECODE": "1",
            },
        }

    def manage(self, *arguments):
        subprocess.run(
            [sys.executable, "-m", "django", *arguments], check=True, **self.process_options
        )

    def place(self, number):
        code = f"from shop.domain import Order; Order.place.transact({number!r})"
        self.manage("shell", "-v0", "-c", code)

    @contextmanager
    def serve(self, *arguments):
        command = (sys.executable, "-m", "django", "runserver_with_projections", "0", *arguments)
        with (
            self.said.open("w") as said,
            subprocess.Popen(
                command,
                stdout=said,
                stderr=subprocess.STDOUT,
                start_new_session=True,  # Ctrl-C comes to the reloader and to its child.
                **self.process_options,
            ) as server,
        ):
            try:
                yield server
            finally:
                with suppress(ProcessLookupError):
                    os.killpg(server.pid, signal.SIGKILL)

    def text_of(self, number):
        with closing(sqlite3.connect(self.database, timeout=patience.HOPE_SECONDS)) as connection:
            row = connection.execute("SELECT text FROM shop_line WHERE number = ?", (number,))
            return (row.fetchone() or (None,))[0]


def wait_until(is_true, site, *, touching=None):
    """Wait; the file is touched now and then, as the reloader may not have looked at it before."""
    touch_at = time.monotonic() + 3

    def is_so():
        nonlocal touch_at
        if touching and time.monotonic() > touch_at:
            touching.touch()
            touch_at += 3
        return is_true()

    patience.wait_until(is_so, site.said.read_text)


@pytest.fixture(params=["", '"django.contrib.staticfiles",'], ids=["plain", "staticfiles"])
def site(request, tmp_path):
    return Site(tmp_path, request.param)


def stop(server):
    os.killpg(server.pid, signal.SIGINT)
    return server.wait(patience.HOPE_SECONDS)


@pytest.mark.parametrize("reloader", [(), ("--noreload",)], ids=["reloader", "no reloader"])
def test_rows_follow_and_ctrl_c_ends_it_cleanly(site, reloader):
    with site.serve(*reloader) as server:
        site.place("1")
        wait_until(lambda: site.text_of("1"), site)
        wait_until(lambda: "Quit the server" in site.said.read_text(), site)
        status = stop(server)
    said = site.said.read_text()
    assert status == 0, said
    assert "Projections run along: shop.Lines." in said
    assert "Traceback" not in said


def test_changes_of_the_code_are_taken_up_also_after_a_broken_one(tmp_path):
    site = Site(tmp_path, "")
    code = tmp_path / "shop" / "projections.py"
    with site.serve() as server:
        site.place("1")
        wait_until(lambda: site.text_of("1") == "first", site)
        code.write_text(PROJECTIONS.format(text="second"))
        wait_until(lambda: site.said.read_text().count("along") > 1, site, touching=code)
        site.place("2")
        wait_until(lambda: site.text_of("2") == "second", site)
        code.write_text("def broken(")
        waits = "starts again when the code changes"
        wait_until(lambda: waits in site.said.read_text(), site, touching=code)
        code.write_text(PROJECTIONS.format(text="third"))
        site.place("3")
        wait_until(lambda: site.text_of("3") == "third", site, touching=code)
        assert stop(server) == 0
    assert set(re.findall("[A-Z][A-Za-z]*Error", site.said.read_text())) == {"SyntaxError"}


def test_an_unknown_projection_is_refused(tmp_path):
    site = Site(tmp_path, "")
    with site.serve("--noreload", "--projection", "nope") as server:
        assert server.wait(patience.HOPE_SECONDS) == 1
    assert "There is no projection 'nope'" in site.said.read_text()


class TestBackgroundWorker:
    def test_an_error_is_no_end(self, monkeypatch, caplog):
        tries = []

        class Failing:
            def __init__(self, names):
                self.projections = ()

            def run(self, stop):
                tries.append(1)
                if len(tries) < 3:
                    raise ZeroDivisionError("just so")
                stop.wait()

        monkeypatch.setattr(background, "ProjectionWorker", Failing)
        monkeypatch.setattr(background, "PATIENCE_SECONDS", patience.HOPE_SECONDS)
        monkeypatch.setattr(background, "PAUSE_AFTER_ERROR_SECONDS", 0.001)
        with BackgroundWorker() as worker:
            patience.wait_until(lambda: len(tries) == 3)
        assert not worker._thread.is_alive()
        assert caplog.text.count("ZeroDivisionError: just so\n") >= 2

    def test_an_unknown_name_is_refused_at_once(self):
        with pytest.raises(UnknownProjection):
            BackgroundWorker(["nope"])
