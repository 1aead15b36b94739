"""Ctrl-C while a command starts."""

import os
import subprocess
import sys
from pathlib import Path

import pytest
from django.core.management import load_command_class
from django.core.management.base import BaseCommand

from tests.once import once
from tests.patience import HOPE_SECONDS

pytestmark = once

ROOT = Path(__file__).resolve().parents[2]

COMMANDS = sorted(
    path.stem for path in (ROOT / "rill_django/management/commands").glob("[a-z]*.py")
)

# Python imports this by itself. It sends a real signal, as soon as a module is asked for.
_SITE = """
import os, signal, sys

class Interrupting:
    def find_spec(self, name, path=None, target=None):
        if name == os.environ["RILL_TEST_MODULE"]:
            os.kill(os.getpid(), signal.SIGINT)
        return None

sys.meta_path.insert(0, Interrupting())
"""


@pytest.mark.parametrize(
    "module",
    [
        "django.core.management",
        "example_project.settings",
        "django.db.models",
        "rill_django.projections.worker",
        "rill_django.management.commands.run_projections",
    ],
)
def test_while_django_and_the_project_are_imported(module, tmp_path):
    (tmp_path / "sitecustomize.py").write_text(_SITE)
    ended = subprocess.run(
        [sys.executable, "manage.py", "run_projections", "--once"],
        env={
            **os.environ,
            "DJANGO_SETTINGS_MODULE": "example_project.settings",
            "DATABASE_URL": "sqlite://:memory:",
            "PYTHONPATH": str(tmp_path),
            "RILL_TEST_MODULE": module,
        },
        cwd=ROOT,
        capture_output=True,
        text=True,
        timeout=HOPE_SECONDS,
    )
    assert (ended.returncode, ended.stdout, ended.stderr) == (130, "", "")


@pytest.mark.parametrize("name", COMMANDS)
def test_while_a_command_of_ours_is_about_to_begin(name, monkeypatch):
    def interrupted(*_, **__):
        raise KeyboardInterrupt

    monkeypatch.setattr(BaseCommand, "execute", interrupted)
    command = load_command_class("rill_django", name)
    needed = {"retry_projection": ["bank.Balances"], "import_events": ["events.ndjson"]}
    with pytest.raises(SystemExit) as ended:
        command.run_from_argv(["manage.py", name, *needed.get(name, ())])
    assert ended.value.code == 130
