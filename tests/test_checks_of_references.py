"""Foreign keys of projections' rows to rows that nobody makes anew."""

import pytest
from django.contrib.auth import get_user_model
from django.db import models
from django.test.utils import isolate_apps

from rill_django import Projection, on
from rill_django.checks import check_projections
from rill_django.testing import isolated_projections
from tests.bank.domain import Account


@pytest.fixture(autouse=True)
def isolated(monkeypatch):
    with isolate_apps("tests.bank") as known:
        monkeypatch.setattr("rill_django.checks.apps", known)
        with isolated_projections():
            yield


def owned(*owned_models):
    class Owned(Projection):
        models = owned_models

        @on(Account.opened)
        def opened(self, event): ...

    return [(one.id, str(one.obj).rpartition(".")[2], one.msg) for one in check_projections(None)]


def model_with(**fields):
    return type("Row", (models.Model,), {"__module__": "tests.bank.models", **fields})


def key(on_delete, **options):
    return models.ForeignKey(get_user_model(), on_delete, related_name="+", **options)


@pytest.mark.parametrize(
    ("field", "changes", "fails"),
    [
        (lambda: key(models.CASCADE), True, True),
        (lambda: key(models.SET_NULL, null=True), True, True),
        (lambda: key(models.CASCADE, db_constraint=False), True, False),
        (lambda: key(models.SET(1), db_constraint=False), True, False),
        (lambda: key(models.DO_NOTHING), False, True),
        (lambda: key(models.PROTECT), False, True),
        (
            lambda: models.OneToOneField(get_user_model(), models.CASCADE, related_name="+"),
            True,
            True,
        ),
    ],
)
def test_a_key_to_a_row_that_can_be_deleted(field, changes, fails):
    ((id, name, text),) = owned(model_with(owner=field()))
    assert (id, name) == ("rill.W006", "owner")
    assert get_user_model()._meta.label in text
    assert ("change without an event" in text, "a rebuild fails" in text) == (changes, fails)


@pytest.mark.parametrize("on_delete", [models.DO_NOTHING, models.PROTECT, models.RESTRICT])
def test_a_key_to_which_a_deletion_does_not_matter(on_delete):
    assert owned(model_with(owner=key(on_delete, db_constraint=False))) == []


def test_many_to_many():
    many = models.ManyToManyField(get_user_model(), related_name="+")
    ((id, name, _),) = owned(model_with(owners=many))
    assert (id, name) == ("rill.W006", "owners")


def test_keys_to_rows_of_projections_are_another_matter():
    parent = type("Parent", (models.Model,), {"__module__": "tests.bank.models"})
    row = model_with(parent=models.ForeignKey(parent, models.CASCADE, related_name="+"))
    assert owned(parent, row) == []


def test_a_key_inherited_from_an_abstract_model():
    class Owned(models.Model):
        owner = key(models.CASCADE)

        class Meta:
            abstract = True
            app_label = "bank"

    row = type("Row", (Owned,), {"__module__": "tests.bank.models"})
    assert [one[:2] for one in owned(row)] == [("rill.W006", "owner")]
