"""Rill/Wheel's turnstile and coin slot: an event of one aggregate triggers a command on another."""

from contextlib import nullcontext
from typing import NamedTuple

import pytest
from django.db import transaction

from rill_django import (
    Aggregate,
    Ok,
    RecordedEvent,
    Rejected,
    after_commit,
    command,
    event,
    key,
    metadata,
)
from rill_django.domain.runtime import Runtime, current
from rill_django.testing import isolated_registry, isolated_triggers, matches, memory_runtime


class Machine(NamedTuple):
    """What the tests are about."""

    turnstile: type[Aggregate]
    slot: type[Aggregate]


def build() -> Machine:
    """Define both aggregates and the trigger between them, in the registries in use."""

    class Turnstile(Aggregate, name="turnstile.Turnstile"):
        """Lets one person through for every time that it is unlocked."""

        turnstile_id: str = key()
        is_locked: bool = True

        @event
        def unlocked(self):
            """It may turn once."""
            return self.evolve(is_locked=False)

        @event
        def turned(self):
            """Somebody went through; it has locked again."""
            return self.evolve(is_locked=True)

        @command
        def unlock(self):
            """Unlock it. It can be unlocked no further."""
            return self.unlocked() if self.is_locked else self

        @command
        def turn(self):
            """Go through."""
            return self.reject("locked") if self.is_locked else self.turned()

    class Slot(Aggregate, name="turnstile.Slot"):
        """Takes coins for a turnstile."""

        slot_id: str = key()
        turnstile_id: str = key()
        coins: int = 0

        @event
        def coin_inserted(self):
            """There is one coin more."""
            return self.evolve(coins=self.coins + 1)

        @command
        def insert_coin(self):
            """Insert a coin."""
            return self.coin_inserted()

    @after_commit(Slot.coin_inserted)
    def unlock_turnstile(event: RecordedEvent) -> None:
        Turnstile.unlock.transact(event.turnstile_id).unwrap()

    return Machine(Turnstile, Slot)


@pytest.fixture
def machine():
    with isolated_registry(), isolated_triggers():
        yield build()


@pytest.fixture(
    params=[
        pytest.param(memory_runtime, id="memory"),
        pytest.param(nullcontext, id="database", marks=pytest.mark.django_db(transaction=True)),
    ]
)
def runtime(request, machine):
    """The memory store, and the project's database with real commits."""
    with request.param():
        yield current()


def types_of(runtime: Runtime) -> list[str]:
    return [event.type for event in runtime.repository.store.read()]


@pytest.mark.usefixtures("runtime")
class TestMachine:
    def test_a_turnstile_is_locked_at_first(self, machine):
        assert matches(machine.turnstile.turn.transact("north"), {"reason": "locked"})

    def test_a_coin_lets_one_person_through(self, machine):
        assert isinstance(machine.slot.insert_coin.transact("left", "north"), Ok)
        assert isinstance(machine.turnstile.turn.transact("north"), Ok)
        assert isinstance(machine.turnstile.turn.transact("north"), Rejected)

    def test_two_coins_let_one_person_through(self, machine):
        machine.slot.insert_coin.transact("left", "north").unwrap()
        machine.slot.insert_coin.transact("right", "north").unwrap()
        assert machine.turnstile.get("north").version == 0
        assert isinstance(machine.turnstile.turn.transact("north"), Ok)
        assert isinstance(machine.turnstile.turn.transact("north"), Rejected)

    def test_a_coin_unlocks_its_own_turnstile_only(self, machine):
        machine.slot.insert_coin.transact("left", "north").unwrap()
        assert machine.turnstile.get("north").is_locked is False
        assert machine.turnstile.get("south").is_new

    def test_the_whole_story_is_in_the_log(self, machine, runtime):
        machine.slot.insert_coin.transact("left", "north").unwrap()
        machine.turnstile.turn.transact("north").unwrap()
        assert types_of(runtime) == [
            "turnstile.Slot.coin_inserted",
            "turnstile.Turnstile.unlocked",
            "turnstile.Turnstile.turned",
        ]

    def test_what_is_triggered_names_its_cause(self, machine, runtime):
        with metadata(correlation_id="a visit", actor="ann"):
            machine.slot.insert_coin.transact("left", "north").unwrap()
        coin, unlocked = runtime.repository.store.read()
        assert coin.metadata["correlation_id"] == "a visit"
        assert "causation_id" not in coin.metadata
        assert unlocked.metadata == {
            "actor": "ann",
            "command": "turnstile.Turnstile.unlock",
            "correlation_id": "a visit",
            "causation_id": coin.identity,
        }
        assert coin.identity == "turnstile.Slot/left/north@0"

    def test_a_conversation_begins_with_its_first_event(self, machine, runtime):
        machine.slot.insert_coin.transact("left", "north").unwrap()
        coin, unlocked = runtime.repository.store.read()
        assert unlocked.metadata["correlation_id"] == coin.identity
        machine.turnstile.turn.transact("north").unwrap()
        *_, turned = runtime.repository.store.read()
        assert "causation_id" not in turned.metadata

    def test_a_coin_stays_inserted_when_the_turnstile_is_out_of_order(self, machine, caplog):
        @after_commit(machine.slot.coin_inserted)
        def out_of_order(event):
            raise OSError("the turnstile does not answer")

        result = machine.slot.insert_coin.transact("left", "north")
        assert matches(result, {"aggregate": {"coins": 1}})
        assert "out_of_order failed on turnstile.Slot/left/north@0" in caplog.text


@pytest.mark.django_db(transaction=True)
class TestTransactions:
    def test_nothing_is_unlocked_before_the_commit(self, machine):
        with transaction.atomic():
            machine.slot.insert_coin.transact("left", "north").unwrap()
            assert machine.turnstile.get("north").is_new
        assert machine.turnstile.get("north").is_locked is False

    def test_a_rollback_triggers_nothing(self, machine):
        with transaction.atomic():
            machine.slot.insert_coin.transact("left", "north").unwrap()
            transaction.set_rollback(True)
        assert machine.turnstile.get("north").is_new
        assert machine.slot.get("left", "north").is_new
        assert types_of(current()) == []

    def test_a_rolled_back_savepoint_triggers_nothing(self, machine):
        with transaction.atomic():
            with transaction.atomic():
                machine.slot.insert_coin.transact("left", "north").unwrap()
                transaction.set_rollback(True)
            machine.slot.insert_coin.transact("right", "south").unwrap()
        assert machine.turnstile.get("north").is_new
        assert machine.turnstile.get("south").is_locked is False

    def test_a_rejection_triggers_nothing(self, machine):
        machine.turnstile.turn.transact("north")
        assert types_of(current()) == []
