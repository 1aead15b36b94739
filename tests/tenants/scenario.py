"""A project with django-tenants, as docs/tenants.md describes it. Run in a process of its own."""

import io
import json
import sys
from contextlib import redirect_stdout

import django
from django.core.management import call_command, execute_from_command_line

django.setup()

from bank.domain import Account  # noqa: E402
from bank.models import Line  # noqa: E402
from bank.tenants import catch_up_all  # noqa: E402
from customers.models import Client  # noqa: E402
from django_tenants.utils import schema_context  # noqa: E402

from rill_django.models import Checkpoint, Event  # noqa: E402


def manage(*words, **options):
    out = io.StringIO()
    call_command(*words, stdout=out, stderr=out, **options)
    return out.getvalue()


def quietly(do):
    with redirect_stdout(io.StringIO()):
        do()


def lines():
    return list(Line.objects.order_by("text").values_list("text", flat=True))


def each(look):
    found = {}
    for name in ("north", "south"):
        with schema_context(name):
            found[name] = look()
    return found


report = {"check": manage("check")}
quietly(lambda: manage("makemigrations", "customers", "bank", verbosity=0))
quietly(lambda: manage("migrate_schemas", schema_name="public", verbosity=0))
for name in ("north", "south"):
    quietly(lambda name=name: Client.objects.create(schema_name=name, name=name))
for number, name in enumerate(("north", "south"), start=1):
    with schema_context(name):
        for one in range(number):
            Account.open.transact(str(one), owner=f"{name} {one}").unwrap()
catch_up_all()
report["caught up"] = each(lines)
report["events"] = each(Event.objects.count)
report["checkpoints"] = each(Checkpoint.objects.count)
with schema_context("north"):
    Line.objects.create(text="thief")
    try:
        manage("rebuild_projections", verify=True, verbosity=0)
    except Exception as error:
        report["verify"] = str(error)
report["after verify"] = each(lines)
words = ["manage.py", "tenant_command", "rebuild_projections", "--schema=north", "--no-input"]
quietly(lambda: execute_from_command_line(words))
report["after rebuild"] = each(lines)
with schema_context("south"):
    report["status"] = manage("projection_status", no_color=True)
    manage("rebuild_projections", "bank.Lines", verify=True, verbosity=0)
    manage("rebuild_projections", "bank.Lines", no_input=True, workers=2, verbosity=0)
report["after workers"] = each(lines)
sys.stdout.write(json.dumps(report) + "\n")
