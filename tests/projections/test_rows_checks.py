"""System checks of projections and their models."""

from types import SimpleNamespace

import pytest
from django.core.checks import Error, Warning
from django.test.utils import isolate_apps

from rill_django import Projection, RowProjection, checks, on
from rill_django.checks import check_projections
from rill_django.checks_of_the_log import check_tables_of_the_log
from rill_django.testing import isolated_projections
from tests.bank.domain import Account
from tests.bank.models import Balance, Branch, BusyBranch, Card, Holder


@pytest.fixture(autouse=True)
def alone():
    with isolated_projections():
        yield


def rows_of(of, key_of_rows="number"):
    class Rows(RowProjection):
        name = f"bank.{of.__name__}"
        model = of
        key = key_of_rows

        @on(Account.opened)
        def opened(self, row, event): ...

    return Rows


def found():
    return [message.id for message in check_projections(None)]


@pytest.mark.parametrize("key", ["number", ("number",), lambda event: event.number])
def test_keys_that_are_in_order(key):
    rows_of(Balance, staticmethod(key) if callable(key) else key)
    assert found() == []


def test_two_projections_of_a_model():
    rows_of(Balance)

    class Other(Projection):
        models = (Card, Balance)

        @on(Account.opened)
        def opened(self, event): ...

    (error,) = check_projections(None)
    assert isinstance(error, Error)
    assert error.id == "rill.E005"
    assert "bank.Balance and projections.Other both write to bank.Balance" in error.msg


def test_a_proxy_is_its_model():
    rows_of(BusyBranch, ("branch", "owner"))
    assert found() == []
    rows_of(Branch, ("branch", "owner"))
    assert found() == ["rill.E005"]


@isolate_apps("tests.bank")
def test_nor_is_a_proxy_a_way_round_a_second_table(monkeypatch):
    class Local(Balance):
        class Meta:
            app_label = "bank"

    class Near(Local):
        class Meta:
            app_label = "bank"
            proxy = True

    monkeypatch.setattr(checks, "apps", SimpleNamespace(get_models=lambda: [Near]))
    rows_of(Near)
    assert "rill.E006" in found()


def test_a_model_without_table(monkeypatch):
    rows_of(Holder)
    monkeypatch.setattr(Holder._meta, "managed", False)
    assert found() == ["rill.E006"]
    monkeypatch.undo()
    monkeypatch.setattr("rill_django.checks.apps.get_models", lambda: [Balance])
    assert found() == ["rill.E006"]


class NoCheckpoints:
    def allow_migrate(self, db, app_label, model_name=None, **hints):
        return False if model_name == "checkpoint" else None


def test_a_database_without_checkpoint(settings):
    rows_of(Holder)
    settings.DATABASE_ROUTERS = ["tests.projections.test_rows_checks.NoCheckpoints"]
    assert found() == ["rill.E007"]


class OnlyForTenants:
    """Keeps the tenants' tables out of the public schema, where the checks are made."""

    def allow_migrate(self, db, app_label, model_name=None, **hints):
        return False if app_label in ("rill_django", "bank") else None


def test_a_router_that_decides_by_the_tenant(settings):
    rows_of(Holder)
    settings.DATABASE_ROUTERS = ["tests.projections.test_rows_checks.OnlyForTenants"]
    assert found() == []
    assert check_tables_of_the_log(None) == []


def test_foreign_keys_to_disposable_rows(monkeypatch):
    rows_of(Balance)
    assert found() == []
    monkeypatch.setattr(Card._meta.get_field("account"), "db_constraint", True)
    (warning,) = check_projections(None)
    assert isinstance(warning, Warning)
    assert warning.id == "rill.W003"
    assert "bank.Card.account points to bank.Balance" in warning.msg
    rows_of(Card)
    (warning,) = check_projections(None)
    assert warning.id == "rill.W004"
    assert "of the projection bank.Card points to bank.Balance" in warning.msg
