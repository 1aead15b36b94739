"""The settings that `.env.example` recommends for production."""

import os
import re
import secrets
import subprocess
import sys
from pathlib import Path

from tests.once import once

pytestmark = once

ROOT = Path(__file__).resolve().parents[2]


def production():
    """Return what is to be set in production, with a key as the page asks for."""
    block = re.search(
        r"^# --- in production.*?$(.*?)^# --- end", (ROOT / ".env.example").read_text(), re.M | re.S
    )
    found = dict(line[2:].split("=", 1) for line in block[1].strip().splitlines())
    assert {"DEBUG", "SECRET_KEY", "ALLOWED_HOSTS", "DATABASE_URL", "CACHE_URL"} <= found.keys()
    return {**found, "SECRET_KEY": secrets.token_urlsafe(60), "DATABASE_URL": "sqlite:///:memory:"}


def manage(*words, **environment):
    return subprocess.run(
        [sys.executable, "manage.py", *words],
        cwd=ROOT,
        env={**os.environ, **environment, "DJANGO_SETTINGS_MODULE": "example_project.settings"},
        capture_output=True,
        text=True,
        check=False,
    )


def test_the_deployment_check_is_clean_under_them():
    done = manage("check", "--deploy", "--fail-level", "WARNING", **production())
    assert done.returncode == 0, done.stderr
    assert "no issues (0 silenced)" in done.stdout


def test_the_check_tells_what_is_not_set():
    """The test above would be worth nothing if this were clean, too."""
    done = manage("check", "--deploy", "--fail-level", "WARNING", DATABASE_URL="sqlite:///:memory:")
    assert done.returncode == 1
    assert "security.W018" in done.stderr
