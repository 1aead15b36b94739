"""What a domain's methods make and drop, found in their source when the class is made."""

import functools
import linecache
import textwrap

import pytest

from rill_django import Aggregate, DefinitionError, command, event, key
from rill_django.domain.registry import isolated_registry

FIRST = 20
"""Line of the first statement of a method that `define` makes."""


def define(body, *, marked="@command", returns=""):
    """Make a class that has this method, with its source where Python looks for it."""
    source = (
        textwrap.dedent(
            """\
            from rill_django import Aggregate, command, event, key

            class Account(Aggregate, name="bank.Account"):
                number: str = key()
                balance: int = 0
                @event
                def deposited(self, amount: int):
                    return self.evolve(balance=self.balance + amount)
                @event
                def withdrawn(self, amount: int):
                    return self.evolve(balance=self.balance - amount)
                @command
                def deposit(self, amount: int):
                    if amount > 100:
                        return self.reject("too-much")
                    return self.deposited(amount)
                # Here it comes.
            """
        )
        + f"    {marked}\n    def act(self, amount: int){returns}:\n"
        + textwrap.indent(textwrap.dedent(body).strip("\n"), "        ")
        + "\n"
    )
    name = "/bank/domain.py"
    linecache.cache[name] = (len(source), None, source.splitlines(keepends=True), name)
    namespace = {"__name__": "bank.domain"}
    try:
        with isolated_registry():
            exec(compile(source, name, "exec"), namespace)
    finally:
        del linecache.cache[name]
    return namespace["Account"]


RETURN = (
    "An aggregate never changes: each makes a new one. Write: return {0}, or go on with the new one: "
    "account = {0}"
)


class TestIsRefused:
    @pytest.mark.parametrize("marked", ["@command", "@event", "# A plain one."])
    def test_a_rejection_that_is_not_returned(self, marked):
        with pytest.raises(DefinitionError) as refused:
            define(
                """
                if amount > self.balance:
                    self.reject("insufficient-funds", available=self.balance)
                return self.withdrawn(amount)
                """,
                marked=marked,
            )
        assert str(refused.value) == (
            f"bank.domain.Account.act drops what self.reject(…) makes, at "
            f"/bank/domain.py:{FIRST + 1}, and the rejection with it. A rejection is a value, which takes "
            "effect by being returned. Write: return self.reject(…)"
        )

    def test_an_event_that_is_not_returned(self):
        with pytest.raises(DefinitionError) as refused:
            define("self.deposited(amount)\nreturn self")
        assert str(refused.value) == (
            f"bank.domain.Account.act drops what self.deposited(…) makes, at "
            f"/bank/domain.py:{FIRST}, and the event with it. {RETURN.format('self.deposited(…)')}"
        )

    def test_another_command_that_is_not_returned(self):
        with pytest.raises(DefinitionError) as refused:
            define("self.deposit(amount)\nreturn self.withdrawn(amount)")
        assert str(refused.value) == (
            f"bank.domain.Account.act drops what self.deposit(…) makes, at /bank/domain.py:{FIRST}, and its "
            f"decision with it. {RETURN.format('self.deposit(…)')}"
        )

    def test_a_change_that_is_not_returned(self):
        with pytest.raises(DefinitionError) as refused:
            define("self.evolve(balance=amount)", marked="@event", returns=" -> 'Account'")
        assert str(refused.value) == (
            f"bank.domain.Account.act drops what self.evolve(…) makes, at /bank/domain.py:{FIRST}, and the "
            "change with it. An aggregate never changes: each makes a new one. Write: return self.evolve(…)"
        )

    def test_messages_that_are_applied_for_nothing(self):
        with pytest.raises(DefinitionError) as refused:
            define("self.apply(Account.deposited.message('1', 5))\nreturn self")
        assert str(refused.value) == (
            f"bank.domain.Account.act drops what self.apply(…) makes, at /bank/domain.py:{FIRST}, and the "
            f"events with it. {RETURN.format('self.apply(…)')}"
        )

    @pytest.mark.parametrize(
        ("body", "line", "what"),
        [
            ("account = self.deposited(amount)\nreturn self", 0, "self.deposited"),
            ("account: Account = self.deposited(amount)\nreturn self", 0, "self.deposited"),
            ("account = self\naccount.deposited(1)\nreturn account", 1, "account.deposited"),
            ("new = self.deposited(1)\nnew.withdrawn(2)\nreturn new", 1, "new.withdrawn"),
            ("for one in (1, 2):\n    self.deposited(one)\nreturn self", 1, "self.deposited"),
            ("[self.deposited(one) for one in (1, 2)]\nreturn self", 0, "self.deposited"),
            ("self.deposited(1), self.withdrawn(1)\nreturn self", 0, "self.deposited"),
            ("self.deposited(1).withdrawn(2)\nreturn self", 0, "self.deposited(1).withdrawn"),
            ("if amount:\n    raise self.reject('x')\nreturn self", 1, "self.reject"),
            ("amount > 5 and self.reject('x')\nreturn self", 0, "self.reject"),
            ("self.reject('x') if amount else None\nreturn self", 0, "self.reject"),
            (
                "'''Say.\n\nMore.\n'''\n\nself.deposited(\n    amount,\n)\nreturn self",
                5,
                "self.deposited",
            ),
            ("if amount:\n    x = '''\nleft'''\n    self.reject(x)\nreturn self", 3, "self.reject"),
        ],
    )
    def test_however_it_is_written(self, body, line, what):
        with pytest.raises(DefinitionError) as refused:
            define(body)
        assert f"drops what {what}(…) makes, at /bank/domain.py:{FIRST + line}, and" in str(
            refused.value
        )


class TestIsLeftAlone:
    @pytest.mark.parametrize(
        "body",
        [
            "return self.deposited(amount)",
            "return self.deposited(1).withdrawn(2)",
            "account = self\nfor one in (1, 2):\n    account = account.deposited(one)\nreturn account",
            "tried = self.withdrawn(amount)\nreturn self.reject('x') if tried.balance < 0 else tried",
            "if self.withdrawn(amount).balance < 0:\n    return self.reject('x')\nreturn self",
            "_ = self.deposited(amount)\nreturn self",
            "account = self.deposited(1)\ndef later():\n    return account\nreturn later()",
            "seen = []\nseen.append(self.deposited(1))\nreturn seen[0]",
            "other = self.read(Account, '2')\nother.deposited(1)\nreturn self",
            "print(amount)\nreturn self",
            "refused = None\nif amount:\n    refused = self.reject('x')\nreturn refused or self",
            "match self.deposit(amount):\n    case Account() as new:\n        return new\nreturn self",
        ],
    )
    def test_what_somebody_gets(self, body):
        define(body)

    def test_what_has_no_source(self):
        source = "@command\ndef act(self):\n    self.reject('x')\n    return self\n"
        namespace = {"command": command}
        exec(source, namespace)

        class Thing(Aggregate):
            number: str = key()
            act = namespace["act"]

        with pytest.raises(
            TypeError, match="goes on after a rejection, 'x', which was made at <string>:3"
        ):
            Thing("1").act()

    def test_what_takes_no_self(self):
        class Thing(Aggregate):
            number: str = key()

            @staticmethod
            def reject_all(reject):
                reject.reject("x")

            @event
            def happened(self):
                return self


def test_a_method_behind_a_decorator_is_looked_at():
    def logged(function):
        @functools.wraps(function)
        def wrapper(*args, **kwargs):
            return function(*args, **kwargs)

        return wrapper

    with pytest.raises(DefinitionError, match=r"act drops what self\.reject\(…\) makes"):

        class Account(Aggregate):
            number: str = key()

            @command
            @logged
            def act(self):
                self.reject("x")
                return self


def test_methods_of_an_abstract_class_are_looked_at():
    with pytest.raises(DefinitionError, match=r"Base\.act drops what self\.happened\(…\) makes"):

        class Base(Aggregate, abstract=True):
            number: str = key()

            @event
            def happened(self):
                pass

            @command
            def act(self):
                self.happened()
                return self
