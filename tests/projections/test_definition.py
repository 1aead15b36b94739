"""Projections that a newcomer writes, and what it says."""

import pytest

from rill_django import DefinitionError, Projection, RowProjection, on, on_batch
from rill_django.testing import isolated_projections
from tests.bank.domain import Account
from tests.bank.models import AuditLine, Balance


@pytest.fixture(autouse=True)
def projections():
    with isolated_projections():
        yield


def said(base, handler=None, **attributes):
    """What it says when a projection with this handler is defined."""
    namespace = {"__module__": __name__, "__qualname__": "Wrong", **attributes}
    if handler is not None:
        namespace["opened"] = handler
    with pytest.raises(DefinitionError) as refused:
        type(base)("Wrong", (base,), namespace)
    return str(refused.value).removeprefix(f"{__name__}.Wrong")


class TestAHandler:
    def test_of_rows_that_takes_no_row(self):
        @on(Account.opened)
        def opened(self, event):
            pass

        assert said(RowProjection, opened, model=Balance, key="number") == (
            ": the handler opened takes (self, event), and is called with the row and the event. Write: def "
            "opened(self, row, event); or, with all fields of bank.Account.opened: def opened(self, row, "
            "event, owner, branch='main')"
        )

    def test_that_is_free_and_takes_a_row(self):
        @on(Account.opened)
        def opened(self, row, event):
            pass

        assert said(Projection, opened, models=(AuditLine,)) == (
            ": the handler opened takes (self, row, event), and is called with the event. Write: def "
            "opened(self, event); or, with all fields of bank.Account.opened: def opened(self, event, owner, "
            "branch='main')"
        )

    def test_of_several_events_that_takes_none(self):
        @on_batch(Account.opened)
        def opened(self):
            pass

        assert said(Projection, opened, models=(AuditLine,)) == (
            ": the handler opened takes (self), and is called with the events. Write: def "
            "opened(self, events)"
        )

    def test_that_takes_what_it_likes(self):
        class Right(RowProjection):
            model = Balance
            key = "number"

            @on(Account.opened)
            def opened(self, *args, more=None):
                pass

            @on(Account.closed)
            def closed(self, row, event, more=None):
                pass

        assert len(Right.handlers) == 2

    @pytest.mark.parametrize("mark", ["on", "on_batch"])
    def test_outside_of_a_class(self, mark):
        source = f"@{mark}(Account.opened)\ndef opened(event):\n    pass\n"
        with pytest.raises(DefinitionError) as refused:
            exec(source, {"on": on, "on_batch": on_batch, "Account": Account})
        assert str(refused.value) == (
            f"@{mark} stands above opened, which is in no class: nothing would call it. It marks methods of "
            "a projection: class Balances(RowProjection) or class Audit(Projection). For an effect after the "
            "commit, write @after_commit."
        )

    def test_outside_of_a_class_that_is_for_one(self):
        source = "@on(Account.opened)\ndef opened(self, event):\n    pass\n"
        namespace = {"on": on, "Account": Account}
        exec(source, namespace)

        class Audit(Projection):
            models = (AuditLine,)
            opened = namespace["opened"]

        assert list(Audit.handlers) == [Account.opened.name]


class TestModels:
    @pytest.mark.parametrize("models", [("bank.AuditLine",), AuditLine, "bank.AuditLine", (7,)])
    def test_are_given_as_classes(self, models):
        @on(Account.opened)
        def opened(self, event):
            pass

        assert said(Projection, opened, models=models) == (
            f": models takes the classes of models, got {models!r}. Write: models = (Balance,)"
        )

    @pytest.mark.parametrize("model", ["bank.Balance", (Balance,), Account])
    def test_of_rows_are_given_as_a_class(self, model):
        @on(Account.opened)
        def opened(self, row, event):
            pass

        assert said(RowProjection, opened, model=model, key="number") == (
            f": model takes the class of a model, got {model!r}. Write: model = Balance"
        )
