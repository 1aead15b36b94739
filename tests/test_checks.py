"""System checks: ids are stable, and each finds what it is for."""

from importlib import import_module

import pytest
from django.core.checks import run_checks
from django.core.exceptions import ImproperlyConfigured
from django.core.management import call_command
from django.core.management.base import SystemCheckError
from django.db import connection
from django.db.backends.sqlite3 import base as sqlite3

from rill_django import Projection, RowProjection, on
from rill_django.checks import check_database, check_log_driver, check_projections
from rill_django.store.orm import DjangoEventStore
from rill_django.testing import isolated_projections
from tests.bank.domain import Account
from tests.bank.models import AuditLine, Balance, Branch, Customer, Holding


def ids(messages):
    return [message.id for message in messages]


@pytest.mark.django_db
def test_the_project_is_in_order():
    assert [one for one in run_checks() if one.id.startswith("rill.")] == []
    assert check_projections(None) == []


@pytest.mark.django_db
def test_a_database_that_is_not_supported(monkeypatch):
    assert check_database(None) == []
    monkeypatch.setattr(connection, "vendor", "oracle")
    (error,) = check_database(None)
    assert error.id == "rill.E001"
    assert "postgresql" in str(error)


@pytest.mark.skipif("connection.vendor != 'postgresql'", reason="about PostgreSQL's driver")
def test_the_old_driver_of_postgresql(monkeypatch, db):
    def found():
        messages = run_checks(databases=["default"])
        return [
            (one.id, "psycopg[binary]" in one.msg)
            for one in messages
            if one.id.startswith("rill.E")
        ]

    assert found() == []
    monkeypatch.setattr("django.db.backends.postgresql.psycopg_any.is_psycopg3", False)
    assert found() == [("rill.E013", True)]
    with pytest.raises(ImproperlyConfigured, match="psycopg 3"):
        Account.open.transact("1", owner="Ann")
    with pytest.raises(SystemCheckError, match=r"rill\.E013"):
        call_command("run_projections", once=True, skip_checks=False)


@pytest.mark.skipif("connection.vendor != 'postgresql'", reason="about PostgreSQL's driver")
def test_the_old_driver_where_a_projection_is_kept(monkeypatch):
    monkeypatch.setattr("django.db.backends.postgresql.psycopg_any.is_psycopg3", False)
    monkeypatch.setattr(DjangoEventStore, "using", "log")
    others = {"default": connection, "log": sqlite3.DatabaseWrapper({}, "log")}
    monkeypatch.setattr("rill_django.checks.connections", others)
    messages = {one.msg for one in check_projections(None) if one.id == "rill.E013"}
    assert any("bank.Balances" in one for one in messages)
    assert check_log_driver(None) == []


def test_models_in_several_databases(settings):
    with isolated_projections():

        class Both(Projection):
            models = (AuditLine, Balance)

            @on(Account.opened)
            def opened(self, event): ...

        settings.DATABASE_ROUTERS = ["tests.test_checks.AuditElsewhere"]
        assert ids(check_projections(None)) == ["rill.E002"]


class AuditElsewhere:
    def db_for_write(self, model, **hints):
        return "elsewhere" if model is AuditLine else "default"


def test_an_inline_projection_in_another_database(settings):
    with isolated_projections():

        class Lines(Projection):
            models = (AuditLine,)
            inline = True

            @on(Account.opened)
            def opened(self, event): ...

        assert check_projections(None) == []
        settings.DATABASE_ROUTERS = ["tests.test_checks.AuditElsewhere"]
        assert ids(check_projections(None)) == ["rill.E008"]


@pytest.mark.skipif("connection.vendor == 'sqlite'", reason="SQLite has no levels")
def test_an_inline_projection_at_another_isolation_level(monkeypatch):
    level = "repeatable read"
    if connection.vendor == "postgresql":
        level = import_module("psycopg").IsolationLevel.REPEATABLE_READ
    own = connection.settings_dict["OPTIONS"]
    with isolated_projections():

        class Lines(Projection):
            models = (AuditLine,)
            inline = True

            @on(Account.opened)
            def opened(self, event): ...

        assert check_projections(None) == []
        monkeypatch.setitem(connection.settings_dict, "OPTIONS", {**own, "isolation_level": level})
        (warning,) = check_projections(None)
        assert (warning.id, "REPEATABLE READ" in warning.msg) == ("rill.W005", True)
        assert "Lines" in warning.msg
        Lines.inline = False
        assert check_projections(None) == []
        Lines.inline = True
        level = 2 if connection.vendor == "postgresql" else "Read Committed"
        monkeypatch.setitem(connection.settings_dict, "OPTIONS", {**own, "isolation_level": level})
        assert check_projections(None) == []


def test_rejections_for_what_there_is_not():
    with isolated_projections():

        class Owners(Projection):
            models = (Customer, Holding)
            inline = True
            rejections = {
                "name": "known",
                "customer": "unknown",
                "bank_holding_positive": "negative",
                ("customer", "number"): "twice",
                "nmae": "known",
                ("number", "customer"): "twice",
            }

            @on(Account.opened)
            def opened(self, event): ...

        errors = check_projections(None)
        assert ids(errors) == ["rill.E009", "rill.E009"]
        assert "'nmae'" in errors[0].msg
        assert "bank_holding_positive" in errors[0].hint


def test_a_key_that_the_model_does_not_have():
    with isolated_projections():

        class Wrong(RowProjection):
            model = Balance
            key = "numbre"

            @on(Account.opened)
            def opened(self, row, event): ...

        assert ids(check_projections(None)) == ["rill.E003"]


@pytest.mark.parametrize("wrong", ["owner", ("branch",)])
def test_a_key_that_is_not_unique(wrong):
    with isolated_projections():

        class Wrong(RowProjection):
            model = Branch
            key = wrong

            @on(Account.opened)
            def opened(self, row, event): ...

        assert ids(check_projections(None)) == ["rill.E004"]


def test_a_log_in_another_database(monkeypatch):
    monkeypatch.setattr(DjangoEventStore, "using", "log")
    monkeypatch.setattr("rill_django.checks.connections", {"log": connection})
    (warning,) = check_database(None)
    assert warning.id == "rill.W002"
    assert "two transactions" in str(warning)
