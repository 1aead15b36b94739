"""What the documentation shows, runs."""

import os
import re
import subprocess
import sys
from pathlib import Path

import pytest

from rill_django.testing import isolated_projections, isolated_registry, isolated_triggers
from tests.bank import models as bank_models

ROOT = Path(__file__).resolve().parent.parent

_BLOCK = re.compile(r"^```python\n(?P<code>.*?)^```$", re.MULTILINE | re.DOTALL)
_FILE = re.compile(r"\A# (?P<file>[\w/]+\.py|python manage\.py shell)(?P<rest>[^\n]*)\n")


def blocks(document):
    return [match["code"] for match in _BLOCK.finditer((ROOT / document).read_text())]


@pytest.mark.django_db(transaction=True)
def test_the_guide(monkeypatch):
    # The guide's app is called bank, as a reader's would be.
    monkeypatch.setitem(sys.modules, "bank.models", bank_models)
    code = "\n".join(blocks("docs/guide.md"))
    namespace = {"__name__": "bank.guide"}
    monkeypatch.setitem(sys.modules, "bank.guide", type(sys)("bank.guide"))
    with isolated_registry(), isolated_projections(), isolated_triggers():
        exec(compile(code, "docs/guide.md", "exec"), namespace)
    assert "tell_the_owner" in namespace


def lines_of_code(code):
    lines = (line.strip() for line in code.splitlines())
    return sum(bool(line) and not line.startswith(("#", '"""')) for line in lines)


def test_the_tutorial(tmp_path):
    parts = {}
    for code in blocks("README.md"):
        named = _FILE.match(code)
        assert named, f"This block of the tutorial does not say which file it is:\n{code}"
        parts[named["file"]] = code
    assert sum(map(lines_of_code, parts.values())) < 80

    def run(*arguments, **options):
        environment = {
            name: value for name, value in os.environ.items() if name != "DJANGO_SETTINGS_MODULE"
        }
        done = subprocess.run(
            [sys.executable, "-W", "error", *arguments],
            cwd=tmp_path,
            env={**environment, "PYTHONPATH": f"{ROOT}{os.pathsep}{tmp_path}"},
            capture_output=True,
            text=True,
            check=False,
            **options,
        )
        assert done.returncode == 0, done.stdout + done.stderr
        return done.stdout

    run("-m", "django", "startproject", "mysite", ".")
    run("manage.py", "startapp", "bank")
    shell = parts.pop("python manage.py shell")
    for file, code in parts.items():
        path = tmp_path / file
        path.write_text((path.read_text() if "at the end" in code.splitlines()[0] else "") + code)
    run("manage.py", "makemigrations", "bank")
    run("manage.py", "migrate")
    assert run("manage.py", "shell", "-v0", input=shell).strip().endswith("only 100 there")
    run("manage.py", "run_projections", "--once")
    run("manage.py", "check", "--database", "default", "--fail-level", "WARNING")
    page = """
from django.contrib.auth.models import User
from django.test import Client
client = Client(headers={"host": "localhost"})
client.force_login(User.objects.create_superuser("admin"))
print(client.get("/admin/bank/balance/").content.decode())
print(client.get("/admin/rill_django/event/").content.decode())
"""
    html = run("manage.py", "shell", "-v0", input=page)
    assert re.search(r'class="field-balance[^"]*">100\.00<', html)
    assert "bank.Account/12345678" in html
