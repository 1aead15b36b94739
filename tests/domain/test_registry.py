import subprocess
import sys

import pytest

from rill_django import Aggregate, DefinitionError, UnknownMessageType, command, event, key, upcast
from rill_django.domain.registry import current_registry, isolated_registry
from tests.domain.shop import Account
from tests.patience import HOPE_SECONDS


def define(class_name="Thing", **options):
    namespace = {"__module__": __name__, "__qualname__": class_name}
    return type(Aggregate)(
        class_name,
        (Aggregate,),
        {**namespace, "__annotations__": {"id": str}, "id": key()},
        **options,
    )


class TestTheRegistry:
    def test_finds_types_by_name(self, registry):
        assert registry.aggregates["tests.Account"] is Account
        assert registry.events["tests.Account.opened"] is Account.opened
        assert registry.command("tests.Account.open") is Account.open

    def test_says_what_it_does_not_know(self, registry):
        for name in ("tests.Account.nothing", "tests.Account.opened"):
            with pytest.raises(UnknownMessageType, match=f"no command type '{name}'"):
                registry.command(name)

    def test_takes_no_abstract_class(self, registry):
        class Base(Aggregate, abstract=True):
            id: str = key()

        assert "tests.Base" not in registry.aggregates

    def test_gives_a_name_once_only(self, registry):
        thing = define()
        with pytest.raises(
            DefinitionError, match=r"'tests.Thing' is already used by .*Thing\. Ren"
        ):
            define()
        assert registry.aggregates["tests.Thing"] is thing
        define(name="tests.Other")

    def test_gives_a_name_of_an_event_once_only(self, registry):
        with pytest.raises(
            DefinitionError, match=r"'tests.Account.opened' is already used by .*opened"
        ):

            class Rival(Aggregate):
                id: str = key()

                @command(name="tests.Account.opened")
                def open(self):
                    return self

    def test_keeps_nothing_of_a_class_that_was_refused(self, registry):
        before = (dict(registry.aggregates), dict(registry.events), dict(registry.commands))
        with pytest.raises(DefinitionError):

            class Rival(Aggregate):
                id: str = key()

                @event
                def fine(self):
                    pass

                @event(name="tests.Account.opened")
                def opened(self):
                    pass

        assert before == (registry.aggregates, registry.events, registry.commands)


class TestIsolation:
    def test_keeps_definitions_and_upcasters_apart(self, registry):
        with isolated_registry() as inner:
            assert current_registry() is inner
            thing = define()
            upcast("tests.Thing.acted")(lambda event: event)
            assert inner.aggregates == {"tests.Thing": thing}
            assert inner.has_upcasters_for("tests.Thing.acted")
        assert current_registry() is registry
        assert "tests.Thing" not in registry.aggregates
        assert not registry.has_upcasters_for("tests.Thing.acted")
        define()

    def test_ends_with_the_block_also_when_it_fails(self, registry):
        with pytest.raises(ValueError, match="x"), isolated_registry():
            raise ValueError("x")
        assert current_registry() is registry


def test_a_notebook_may_run_its_cells_again():
    program = """
from rill_django import Aggregate, event, key
cell = '''
class Door(Aggregate):
    id: str = key()
    @event
    def opened(self, by: str): pass
'''
exec(cell)
first = Door
exec(cell)
assert first is not Door
from rill_django.domain.registry import current_registry
assert current_registry().aggregates["__main__.Door"] is Door
assert current_registry().events["__main__.Door.opened"] is Door.opened
"""
    subprocess.run(
        [sys.executable, "-W", "error", "-c", program],
        check=True,
        env={"PYTHONPATH": ":".join(sys.path)},
        timeout=HOPE_SECONDS,
    )
