"""The README's tutorial, as a reader follows it."""

import re

from tests.docs.pages import python_blocks
from tests.once import once

PAGE = """
from django.contrib.auth.models import User
from django.test import Client
client = Client(headers={"host": "localhost"})
client.force_login(User.objects.create_superuser("admin"))
print(client.get("/admin/bank/balance/").content.decode())
print(client.get("/admin/rill_django/event/").content.decode())
"""


def lines_of_code(code):
    lines = (line.strip() for line in code.splitlines())
    return sum(bool(line) and not line.startswith(("#", '"""')) for line in lines)


def test_it_is_short():
    assert sum(lines_of_code(block.code) for block in python_blocks("README.md")) < 80


def test_it_says_where_everything_belongs():
    given = python_blocks("README.md")
    assert [block.code.splitlines()[0] for block in given if block.file is None] == [
        "# python manage.py shell"
    ]


@once
def test_it_runs(tutorial):
    assert tutorial.has_done_all_of("README.md")
    tutorial.manage("check", "--database", "default", "--fail-level", "WARNING")
    html = tutorial.manage("shell", "-v0", input=PAGE)
    assert re.search(r'class="field-balance[^"]*">100\.00<', html)
    assert "bank.Account/12345678" in html
