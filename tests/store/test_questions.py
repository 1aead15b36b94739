"""A command, or an event method, asks no database."""

import pytest
from django.core.cache.backends.db import DatabaseCache
from django.db import connection, connections
from django.db.transaction import atomic
from django.utils.translation import gettext_lazy

from rill_django import Aggregate, command, event, get_all, key, require
from rill_django.domain.deciding import QueryInCommand
from rill_django.testing import memory_runtime
from tests.bank.models import Balance


def raw(what):
    with connection.cursor() as cursor:
        cursor.execute(what)


class Asking(Aggregate, name="tests.Asking"):
    """Does what it should not."""

    number: str = key()
    notes: tuple[str, ...] = ()

    @event
    def noted(self, how: str) -> "Asking":
        WAYS[how]()
        return self.evolve(notes=(*self.notes, how))

    @event
    @require(lambda self: Balance.objects.exists(), "asks in a condition")
    def conditioned(self) -> None:
        pass

    @command
    def ask(self, how: str) -> "Asking":
        WAYS[how]()
        return self

    @command
    def note(self, how: str) -> "Asking":
        return self.noted(how)

    @command
    @require(lambda self: Balance.objects.exists(), "asks in a condition")
    def ask_in_a_condition(self) -> "Asking":
        return self

    @command
    def read_others(self) -> "Asking":
        other = self.read(Asking, "2")
        again = Asking.get("2")
        (once_more,) = get_all([Asking("2")])
        assert other == again == once_more
        return self.noted("nothing") if other.notes else self

    @command
    def use_what_asks_nothing(self) -> "Asking":
        str(gettext_lazy("Event sourcing"))
        cache = DatabaseCache("no_such_table", {})
        with pytest.raises(Exception, match="no_such_table"):
            cache.get("x")
        return self


WAYS = {
    "nothing": lambda: None,
    "orm": lambda: Balance.objects.filter(number="1").exists(),
    "lazily": lambda: list(Balance.objects.all()),
    "write": lambda: Balance.objects.create(number="1"),
    "cursor": lambda: raw("SELECT   1"),
    "long": lambda: raw("SELECT " + ", ".join(map(str, range(1000)))),
}


def asked(refused):
    return str(refused.value)


@pytest.mark.django_db
class TestACommandAsksNoDatabase:
    @pytest.mark.parametrize("how", ["orm", "lazily", "write", "cursor", "long"])
    def test_in_any_way(self, how):
        for ask in (
            lambda: Asking.ask.transact("1", how),
            lambda: Asking("1").ask(how),
            lambda: Asking.note.transact("1", how),
        ):
            with pytest.raises(QueryInCommand), atomic():
                ask()
        WAYS["cursor"]()  # Others may.
        assert not Asking.get("1").exists

    def test_and_is_told_which_one_and_what_to_do(self):
        with pytest.raises(QueryInCommand) as refused:
            Asking.ask.transact("1", "cursor")
        assert asked(refused) == (
            "The command tests.Asking.ask asks the database: SELECT 1. It decides by its aggregate and its "
            "arguments alone. Ask before, and pass what is needed as an argument; another aggregate is read "
            "by self.read(Other, key)."
        )
        with pytest.raises(QueryInCommand, match=r"asks the database: SELECT .bank_balance"):
            Asking.ask.transact("1", "lazily")

    def test_and_sees_the_beginning_of_what_is_long(self):
        with pytest.raises(QueryInCommand) as refused:
            Asking("1").ask("long")
        assert len(refused.value.statement) == 301
        assert refused.value.statement.endswith("…")

    def test_nor_do_its_conditions(self):
        with pytest.raises(
            QueryInCommand, match=r"^The command tests\.Asking\.ask_in_a_condition asks"
        ):
            Asking("1").ask_in_a_condition()

    def test_nor_do_events_that_are_applied_by_hand(self):
        with pytest.raises(QueryInCommand, match=r"^The event tests\.Asking\.noted asks"):
            Asking("1").noted("orm")
        with pytest.raises(QueryInCommand, match=r"^The event tests\.Asking\.conditioned asks"):
            Asking("1").conditioned()

    def test_also_if_its_events_are_kept_in_memory(self):
        with memory_runtime(), pytest.raises(QueryInCommand):
            Asking.ask.transact("1", "orm")

    def test_but_may_read_aggregates(self):
        Asking.note.transact("2", "nothing").unwrap()
        assert Asking.read_others.transact("1").unwrap().notes == ("nothing",)


@pytest.mark.django_db(transaction=True)
class TestConnections:
    def test_that_are_opened_again_are_watched_once(self):
        connection.close()
        raw("SELECT 1")
        with pytest.raises(QueryInCommand):
            Asking("1").ask("cursor")
        names = [getattr(one, "__module__", "") for one in connection.execute_wrappers]
        assert names.count("rill_django.store.questions") == 1

    def test_that_are_opened_while_somebody_else_watches_stay_watched(self):
        connections["default"].close()
        seen = []

        def watch(execute, *args):
            seen.append(args[0])
            return execute(*args)

        fresh = connection.copy()
        try:
            with fresh.execute_wrapper(watch), fresh.cursor() as cursor:
                cursor.execute("SELECT 1")
            assert seen[-1] == "SELECT 1"
            names = [one.__module__ for one in fresh.execute_wrappers]
            assert names == ["rill_django.store.questions"]
        finally:
            fresh.close()

    def test_of_caches_and_texts_are_left_alone(self):
        assert Asking("1").use_what_asks_nothing() == Asking("1")
