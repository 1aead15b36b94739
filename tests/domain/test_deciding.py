"""What a command does not do: go on after a rejection, or commit."""

import pickle
from pathlib import Path

import pytest

from rill_django import Aggregate, Rejected, command, commit, commit_all, event, key, transact
from rill_django.domain.deciding import CommitInCommand, QueryInCommand
from rill_django.domain.registry import isolated_registry
from rill_django.store.protocol import NONE
from rill_django.testing import memory_runtime

HERE = Path(__file__).resolve()


with isolated_registry():

    class Door(Aggregate):
        """Opens once."""

        number: str = key()
        is_open: bool = False
        knocks: int = 0

        @event
        def opened(self) -> "Door":
            return self.evolve(is_open=True)

        @event
        def knocked(self) -> "Door":
            return self.evolve(knocks=self.knocks + 1)

        @event
        def sent(self) -> "Door":
            Door.open.transact("other")
            return self

        def refuse_an_open_one(self) -> "Rejected | None":
            if self.is_open:
                return self.reject("is-open", knocks=self.knocks)
            return None

        @command
        def open(self) -> "Door | Rejected":
            refused = self.refuse_an_open_one()
            return self.opened() if refused is None else refused

        @command
        def open_as_if_rejections_were_raised(self) -> "Door | Rejected":
            self.refuse_an_open_one()
            return self.opened()

        @command
        def reject_another_way(self) -> "Door | Rejected":
            refusals = [self.reject("first"), self.reject("second")]
            return refusals[0]

        @command
        def open_or_knock(self) -> "Door | Rejected":
            match self.open():
                case Rejected():
                    return self.knocked()
                case opened:
                    return opened

        @command
        def knock_if_another_is_open(self, other: str) -> "Door | Rejected":
            if isinstance(self.read(Door, other).open(), Rejected):
                return self.knocked()
            return self

        @command
        def look_and_open(self, other: str) -> "Door | Rejected":
            self.refuse_an_open_one()
            self.read(Door, other)
            asked = self.open_or_knock()
            return self.opened() if asked.is_open else self

        @command
        def send(self, way: str) -> "Door | Rejected":
            WAYS[way](self)
            return self.knocked()


WAYS = {
    "transact": lambda door: transact(Door.open.message("other")),
    "command": lambda door: Door.open.transact("other"),
    "commit": lambda door: commit(door.opened()),
    "rejection": lambda door: commit(Door("other").reject("no")),
    "commit_all": lambda door: commit_all([Door("other").opened()]),
    "event": lambda door: door.sent(),
}


@pytest.fixture
def memory(registry):
    registry.add(Door, Door.type_name)
    with memory_runtime() as runtime:
        yield runtime


class TestARejectionOfACommand:
    def test_is_its_answer(self):
        shut, opened = Door("1"), Door("1").opened()
        assert shut.open().is_open
        assert opened.open().reason == "is-open"
        with pytest.raises(TypeError) as lost:
            opened.open_as_if_rejections_were_raised()
        line = 1 + HERE.read_text().splitlines().index(
            '                return self.reject("is-open", knocks=self.knocks)'
        )
        assert str(lost.value) == (
            f"The command tests.Door.open_as_if_rejections_were_raised goes on after a "
            f"rejection, 'is-open', which was made at {HERE}:{line}. A rejection is a value: it takes effect "
            "by being returned. Write: return self.reject('is-open', …); where another method has made it, "
            "return what that returns."
        )
        assert shut.open_as_if_rejections_were_raised().is_open

    def test_may_be_one_of_several(self):
        assert Door("1").reject_another_way().reason == "first"

    def test_belongs_to_the_command_that_was_asked_and_not_to_who_asked(self, memory):
        Door.open.transact("2").unwrap()
        assert Door("1").opened().open_or_knock().knocks == 1
        assert Door("1").knock_if_another_is_open("2").knocks == 1
        assert Door("1").knock_if_another_is_open("3").knocks == 0

    def test_is_remembered_whatever_else_the_command_asks(self, memory):
        with pytest.raises(TypeError, match=r"look_and_open goes on after a rejection, 'is-open'"):
            Door("1").opened().look_and_open("2")

    def test_that_nobody_asked_for_is_nobodys(self):
        Door("1").reject("no")
        assert Door("1").open().is_open


class TestACommandCommitsNothing:
    @pytest.mark.parametrize("way", sorted(WAYS))
    def test_in_any_way(self, memory, way):
        with pytest.raises(CommitInCommand) as refused:
            Door.send.transact("1", way)
        assert str(refused.value) == (
            "The command tests.Door.send tries to commit events. It decides about its own aggregate only, "
            "and may be tried again when others commit first. Whoever calls sends both commands, one after "
            "the other; what has to follow from an event goes into a trigger (@after_commit)."
        )
        assert memory.repository.store.head() == 0
        assert Door.open.transact("1").unwrap().is_open  # And now again.

    def test_nor_does_an_event_that_is_applied_by_hand(self, memory):
        with pytest.raises(CommitInCommand, match=r"^The event tests\.Door\.sent tries to commit"):
            Door("1").sent()
        assert commit(Door("1").opened()).unwrap().is_open

    def test_nor_by_the_store_itself(self, memory):
        store = memory.repository.store
        WAYS["store"] = lambda door: store.append("tests.Door/other", NONE, [])
        try:
            with pytest.raises(CommitInCommand):
                Door("1").send("store")
        finally:
            del WAYS["store"]


@pytest.mark.parametrize(
    "error", [CommitInCommand("The command x"), QueryInCommand("It", "SELECT 1")]
)
def test_errors_can_be_pickled(error):
    again = pickle.loads(pickle.dumps(error))
    assert (type(again), str(again), vars(again)) == (type(error), str(error), vars(error))
