"""A domain, or projections, of an app that is not installed."""

import sys
from importlib import import_module

import pytest
from django.core.checks import run_checks

from rill_django import checks_of_apps
from rill_django.checks_of_apps import check_installed, remember_definitions
from rill_django.testing import isolated_projections, isolated_registry

DOMAIN = """
from rill_django import Aggregate, event, key

class Order(Aggregate{name}):
    number: str = key()

    @event
    def placed(self) -> None:
        pass
"""
PROJECTIONS = """
from forgotten.shop.domain import Order
from rill_django import Projection, on
from tests.bank.models import AuditLine

class Orders(Projection):
    models = (AuditLine,)
    {name}

    @on(Order.placed)
    def placed(self, event):
        pass
"""
URLS = """
import forgotten.shop.domain
urlpatterns = []
"""


@pytest.fixture(autouse=True)
def shop(tmp_path, monkeypatch, settings):
    """A package with a domain, and a function that writes its modules."""
    package = tmp_path / "forgotten" / "shop"
    package.mkdir(parents=True)
    monkeypatch.syspath_prepend(tmp_path)
    monkeypatch.setattr(checks_of_apps, "_at_start", set())
    settings.ROOT_URLCONF = ()

    def write(aggregate="", projection=""):
        (package / "domain.py").write_text(DOMAIN.format(name=aggregate))
        (package / "projections.py").write_text(PROJECTIONS.format(name=projection))
        (package / "urls.py").write_text(URLS)

    write()
    with isolated_registry(), isolated_projections():
        yield write
    for name in [name for name in sys.modules if name.startswith("forgotten")]:
        del sys.modules[name]


def found(module="domain"):
    import_module(f"forgotten.shop.{module}")
    return check_installed(None)


def test_a_domain_is_told():
    (warning,) = found()
    assert warning.id == "rill.W012"
    assert warning.msg == (
        "The aggregate type shop.Order is defined in forgotten.shop.domain, and 'forgotten.shop' is not in "
        "INSTALLED_APPS: processes that do not import it know nothing of its events, run_projections for one."
    )
    assert warning.hint == (
        "Add 'forgotten.shop' to INSTALLED_APPS. Or import the class in the domain.py of an app that is "
        "installed, and give it a name that stays: class Order(Aggregate, name='shop.Order')"
    )


def test_projections_are_told():
    _, warning = found("projections")
    assert warning.msg == (
        "The projection shop.Orders is defined in forgotten.shop.projections, and 'forgotten.shop' is not in "
        "INSTALLED_APPS: run_projections does not find it."
    )
    assert warning.hint == (
        "Add 'forgotten.shop' to INSTALLED_APPS. Or import the class in the projections.py of an app that is "
        "installed, and give it a name that stays: name = 'shop.Orders'"
    )


def test_one_that_the_urls_import_is_found(settings):
    assert check_installed(None) == []
    settings.ROOT_URLCONF = "forgotten.shop.urls"
    assert [one.id for one in run_checks() if one.id == "rill.W012"] == ["rill.W012"]


def test_one_with_a_name_that_is_there_at_start_is_fine(shop):
    shop(', name="shop.Order"', 'name = "shop.Orders"')
    assert len(found("projections")) == 2
    remember_definitions()
    assert found("projections") == []


def test_one_whose_name_follows_from_its_place_is_not(shop):
    found("projections")
    remember_definitions()
    assert len(found("projections")) == 2


def test_an_installed_one_is_fine(settings):
    settings.INSTALLED_APPS = [*settings.INSTALLED_APPS, "forgotten.shop"]
    assert found("projections") == []


def test_this_project_has_none(settings):
    with isolated_registry() as registry, isolated_projections():
        from tests.bank.domain import Account

        registry.add(Account, Account.type_name)
        assert check_installed(None) == []
