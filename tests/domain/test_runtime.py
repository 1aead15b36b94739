import threading
from decimal import Decimal

import pytest

from rill_django import Ok, Rejected, RillError, commit, transact
from rill_django.dispatch import Dispatcher
from rill_django.domain import runtime
from rill_django.domain.errors import NoRuntime
from rill_django.domain.runtime import current, set_default, use
from rill_django.repository import Repository
from rill_django.store.memory import MemoryEventStore
from tests.domain.shop import Account


@pytest.fixture
def memory():
    return Dispatcher(Repository(MemoryEventStore()))


@pytest.fixture
def no_default(monkeypatch):
    monkeypatch.setattr(runtime, "_default", None)


class TestWithoutARuntime:
    @pytest.mark.parametrize(
        "act",
        [
            lambda: Account.get("1"),
            lambda: Account.open.transact("1", "Ann"),
            lambda: transact(Account.open.message("1", "Ann")),
            lambda: commit(Account("1").opened("Ann")),
            lambda: Account("1").transfer_owner("2"),
        ],
    )
    def test_fetching_and_storing_say_what_to_do(self, no_default, act):
        with pytest.raises(NoRuntime, match=r"django.setup\(\).*memory_runtime\(\)") as caught:
            act()
        assert isinstance(caught.value, RillError)

    def test_deciding_works(self, no_default):
        assert Account("1").open("Ann").owner == "Ann"


class TestTheRuntimeInUse:
    def test_is_asked_by_the_domain(self, memory):
        with use(memory) as used:
            assert used is memory
            assert Account.open.transact("1", "Ann").unwrap().owner == "Ann"
            assert transact(Account.deposit.message("1", Decimal(5))).unwrap().balance == 5
            assert isinstance(commit(Account.get("1").withdraw(Decimal(2))), Ok)
            assert Account.get(number="1").balance == 3
        assert memory.update(Account("1")).version == 2

    def test_is_what_commands_read_from(self, memory):
        with use(memory):
            Account.open.transact("2", "Bob")
            assert Account.transfer_owner.transact("1", "2").unwrap().owner == "Bob"
            assert Account("1").transfer_owner("3").reason == "no-owner"

    def test_ends_with_the_block(self, memory, no_default):
        with use(memory), use(Dispatcher(Repository(MemoryEventStore()))) as inner:
            assert current() is inner
        with use(memory):
            assert current() is memory
        with pytest.raises(NoRuntime):
            current()

    def test_goes_before_the_default_even_if_it_is_empty(self, memory, no_default):
        class Sized(Dispatcher):
            def __len__(self):
                return 0

        set_default(memory)
        assert current() is memory
        sized = Sized(Repository(MemoryEventStore()))
        with use(sized):
            assert current() is sized

    def test_is_that_of_its_thread_only(self, memory, no_default):
        seen = []

        def look():
            try:
                seen.append(current())
            except NoRuntime as error:
                seen.append(type(error))

        with use(memory):
            thread = threading.Thread(daemon=True, target=look)
            thread.start()
            thread.join()
        assert seen == [NoRuntime]

    def test_passes_rejections_through(self, memory):
        with use(memory):
            rejected = Account.get("1").withdraw(Decimal(1))
            assert isinstance(rejected, Rejected)
            assert commit(rejected) is rejected
