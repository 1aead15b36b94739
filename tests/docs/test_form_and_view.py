"""docs/form-and-view.md: its files in the tutorial's project, and what a browser would do there."""

import pytest

from tests.docs.pages import Block, python_blocks
from tests.docs.project import Project, worker
from tests.once import once

PAGE = "docs/form-and-view.md"

BEGIN = """
import re

from django.contrib.auth.models import User
from django.test import Client
from django.test.utils import setup_test_environment

setup_test_environment()

from bank import views
from bank.domain import Account
from bank.forms import WithdrawalForm
from bank.models import Balance

ann, _ = User.objects.get_or_create(username="ann")
client = Client()
client.force_login(ann)
PATH = "/accounts/12345678/withdraw/"


def key_on(page):
    return re.search(r'name="key" value="([^"]+)"', page.content.decode())[1]


def send(amount, key=None, path=PATH):
    key = key or key_on(client.get(path))
    return client.post(path, {"amount": amount, "key": key}, follow=True)
"""

WITH_WORKER = """
views.WAIT_SECONDS = 99
page = send("10")
assert page.redirect_chain == [("/accounts/12345678/", 302)], page.redirect_chain
assert "Done: 90 are left." in page.content.decode()
assert "Ann: 90.00" in page.content.decode()
assert Account.get("12345678").version == 2
"""

REFUSED = """
before = Account.get("12345678")

page = send("1000")
assert page.status_code == 422
assert page.context["form"].errors == {"amount": ["Only 90 can be taken out."]}
assert "Only 90 can be taken out." in page.content.decode()
# The mended form has a new key, and is another command.
mended = key_on(page)
assert send("1000", mended).status_code == 422

# What the form says by itself, in Django's words and the reader's language.
assert send("-1").context["form"].errors["amount"] == [
    "Ensure this value is greater than or equal to 0.01."
]
german = client.post(PATH, {"amount": "", "key": mended}, headers={"accept-language": "de"})
assert german.context["form"].errors["amount"] == ["Dieses Feld ist zwingend erforderlich."]

# What the form lets through, and the command's types do not.
WithdrawalForm.base_fields["amount"].validators.clear()
page = send("-1")
assert page.status_code == 422
assert page.context["form"].errors == {
    "amount": ["Enter an amount of more than 0 and less than 1,000,000,000."]
}
page = send("1", path="/accounts/%00/withdraw/")
assert page.context["form"].non_field_errors() == ["This is not possible."]

# A key that is no key, or none at all.
for key in ("x", " "):
    assert send("1", key).status_code == 422

assert Account.get("12345678") == before
"""

TWICE = """
from concurrent.futures import ThreadPoolExecutor
from django.db import connection

views.WAIT_SECONDS = 99
before = Account.get("12345678")
key = key_on(client.get(PATH))


def click(_):
    try:
        return send("5", key)
    finally:
        connection.close()


with ThreadPoolExecutor(4) as pool:
    pages = list(pool.map(click, range(4)))
assert all("Done: 85 are left." in page.content.decode() for page in pages)
assert Account.get("12345678").version == before.version + 1

# Back in the browser, another amount, sent again.
page = send("6", key)
assert page.status_code == 422
(said,) = page.context["form"].non_field_errors()
assert said.startswith("This form was sent before")
assert key_on(page) != key

# Somebody else cannot meet that key.
other = Client()
other.force_login(User.objects.create(username="bob"))
assert other.post(PATH, {"amount": "7", "key": key}).status_code == 302
assert Account.get("12345678").balance == 78
"""

LATE = """
views.WAIT_SECONDS = 0.01
page = send("8")
assert page.redirect_chain == [("/accounts/12345678/", 302)], page.redirect_chain
said = page.content.decode()
assert "Done: 70 are left. This page will show it in a moment." in said
assert "Ann: 78.00" in said  # the row is behind
assert Account.get("12345678").balance == 70
"""

CONFLICT = """
from bank.words import explanation_of

form = WithdrawalForm(client.get(PATH).wsgi_request.GET)
form.is_valid()
form.refuse(result)  # of the page's last block
assert form.non_field_errors() == [
    "Somebody else was faster. Look at what it is now, and try again."
]
try:
    explanation_of(None)
except TypeError:
    pass
else:
    raise AssertionError
"""


@pytest.fixture
def project(tutorial) -> Project:
    tutorial.follow(PAGE, shell=False)
    with (tutorial.folder / "mysite/settings.py").open("a") as settings:
        # A machine with much else to do.
        settings.write("DATABASES['default']['OPTIONS']['timeout'] = 60\n")
        settings.write("DATABASES['default']['ATOMIC_REQUESTS'] = True\n")
        settings.write("MIDDLEWARE += ['django.middleware.locale.LocaleMiddleware']\n")
    return tutorial


def look(project: Project, *scripts: str) -> None:
    begun = Block("tests/docs/test_form_and_view.py", 1, "python", BEGIN)
    project.shell(
        [begun, *(Block(begun.page, n, "python", one) for n, one in enumerate(scripts, 2))]
    )


@once
def test_the_page(project):
    project.manage("check", "--database", "default", "--fail-level", "WARNING")
    with worker(project):
        look(project, WITH_WORKER, REFUSED, TWICE)
    project.manage("run_projections", "--once")
    look(project, LATE)
    project.manage("test", "bank", "-v0")
    given = [block for block in python_blocks(PAGE) if block.file is None]
    begun = Block("tests/docs/test_form_and_view.py", 1, "python", BEGIN)
    last = Block(begun.page, 2, "python", CONFLICT)
    project.shell([begun, *given, last])
    assert project.has_done_all_of(PAGE)
