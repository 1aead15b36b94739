"""Constraints and tables with names that databases and their errors write in another way."""

from contextlib import contextmanager
from itertools import count

import pytest
from django.apps import apps
from django.db import connection, models
from django.db.models.functions import Lower

from rill_django import Ok, Projection, on
from rill_django.testing import isolated_projections
from tests.bank.domain import Account

pytestmark = pytest.mark.django_db(transaction=True)

numbers = count(1)
not_on_mysql = pytest.mark.skipif("connection.vendor == 'mysql'", reason="MySQL cannot")
on_postgresql = pytest.mark.skipif("connection.vendor != 'postgresql'", reason="about PostgreSQL")
LONG = "a_rule_with_a_name_that_is_longer_than_the_database_would_ever_keep_of_it"


@contextmanager
def table(name=None, constraints=(), unique_together=(), **fields):
    """Have a model with a table for a while."""
    options = {"app_label": "bank", "constraints": constraints, "unique_together": unique_together}
    if name:
        options["db_table"] = name
    members = {"__module__": "tests.bank.models", "Meta": type("Meta", (), options), **fields}
    model = type(f"Named{next(numbers)}", (models.Model,), members)
    try:
        with connection.schema_editor() as editor:
            editor.create_model(model)
        yield model
        with connection.schema_editor() as editor:
            editor.delete_model(model)
    finally:
        apps.all_models["bank"].pop(model._meta.model_name)
        apps.clear_cache()


def answers(model, *owners, of=lambda owner: {"a": owner}):
    """Open accounts, each of which makes a row; return what the commands answer."""
    with isolated_projections():

        class Named(Projection):
            models = (model,)
            inline = True

            @on(Account.opened)
            def opened(self, event):
                model.objects.create(**of(event.owner))

        found = [
            Account.open.transact(str(number), owner) for number, owner in enumerate(owners, 1)
        ]
        return ["ok" if isinstance(one, Ok) else one.reason for one in found]


def text():
    return models.CharField(max_length=20)


@pytest.mark.parametrize("name", ['"Quoted Table"', "with.dot", "it''s"])
def test_names_of_tables(name):
    if connection.vendor == "mysql":
        name = name.replace('"', "`")
    check = models.CheckConstraint(condition=~models.Q(b="wrong"), name="right_b")
    unique = models.CharField(max_length=20, unique=True)
    with table(name, [check], a=unique, b=text()) as model:
        found = answers(
            model,
            *("x right", "x right", "y wrong"),
            of=lambda owner: dict(zip("ab", owner.split(), strict=True)),
        )
    assert found == ["ok", "a-taken", "right-b"]


@on_postgresql
def test_tables_in_another_schema():
    with connection.cursor() as cursor:
        cursor.execute("CREATE SCHEMA elsewhere")
    try:
        check = models.CheckConstraint(condition=models.Q(b__lt=5), name="few_b")
        pointing = models.ForeignKey("bank.Customer", models.CASCADE, null=True, related_name="+")
        fields = {
            "a": models.CharField(max_length=20, unique=True),
            "b": models.IntegerField(),
            "customer": pointing,
        }
        with table('elsewhere"."named', [check], **fields) as model:
            rows = {
                "one": {"a": "x", "b": 1},
                "same": {"a": "x", "b": 1},
                "many": {"a": "y", "b": 7},
                "lost": {"a": "z", "b": 1, "customer_id": 77},
            }
            found = answers(model, *rows, of=rows.__getitem__)
        assert found == ["ok", "a-taken", "few-b", "no-such-customer"]
    finally:
        with connection.cursor() as cursor:
            cursor.execute("DROP SCHEMA elsewhere CASCADE")


@on_postgresql
@pytest.mark.parametrize(
    ("constraint", "owners"),
    [
        (models.CheckConstraint(condition=~models.Q(a="wrong"), name=LONG), ("right", "wrong")),
        (models.UniqueConstraint(Lower("a"), name=LONG), ("x", "X")),
    ],
)
def test_names_that_the_database_cuts(constraint, owners):
    with table(constraints=[constraint], a=text()) as model:
        assert answers(model, *owners) == ["ok", LONG.replace("_", "-")]


@not_on_mysql
def test_constraints_that_differ_by_their_conditions():
    def unique(kind):
        condition = models.Q(kind=kind)
        return models.UniqueConstraint(fields=["a"], condition=condition, name=f"one_{kind}")

    with table(constraints=[unique("b"), unique("c"), unique("d")], a=text(), kind=text()) as model:
        found = answers(
            model,
            *("x b", "x c", "x d", "y e", "y e", "x c", "x d", "x b"),
            of=lambda owner: dict(zip(("a", "kind"), owner.split(), strict=True)),
        )
        assert model.objects.count() == 5
    assert found == ["ok"] * 5 + ["one-c", "one-d", "one-b"]


def test_columns_with_a_comma():
    fields = {
        "a": models.CharField(max_length=20, db_column="A A"),
        "b": models.CharField(max_length=20, db_column="b, c"),
    }
    with table(unique_together=[("a", "b")], **fields) as model:
        found = answers(model, "x", "x", "y", of=lambda owner: {"a": "1", "b": owner})
    assert found == ["ok", "a-b-taken", "ok"]
