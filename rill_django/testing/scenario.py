"""Given these events, when this command comes, then that happens. Needs no database."""

from __future__ import annotations

from typing import Any, Generic, ParamSpec, TypeVar

from typing_extensions import Self

from rill_django.domain.aggregates import Aggregate
from rill_django.domain.definitions import CommandType
from rill_django.domain.errors import Misuse
from rill_django.domain.messages import EventMessage
from rill_django.domain.results import Rejected
from rill_django.domain.tracebacks import shorten
from rill_django.testing.matching import assert_matches
from rill_django.testing.memory import memory_runtime

A = TypeVar("A", bound=Aggregate)
P = ParamSpec("P")


def given(aggregate: A, *others: Aggregate) -> Scenario[A]:
    """Begin a scenario: these aggregates' events have happened.

    ::

        account = Account("1").opened("Ann").deposited(100)

        given(account).when(Account.withdraw, 20).then(Account.withdrawn.message("1", 20))
        given(account).when(Account.withdraw, 200).then_rejected("insufficient-funds", available=100)

    Args:
        aggregate: the one that the command is for.
        others: those that the command reads.
    """
    return Scenario(aggregate, others)


class Scenario(Generic[A]):
    """What `given` begins.

    Attributes:
        decision: what the command returned; set by `when`.
        aggregate: the aggregate before the command, with the given events stored.
    """

    decision: A | Rejected
    aggregate: A

    def __init__(self, aggregate: A, others: tuple[Aggregate, ...] = ()) -> None:
        for one in (aggregate, *others):
            if not isinstance(one, Aggregate):
                raise Misuse(
                    f"given takes aggregates with their events, got {one!r}. Write: "
                    "given(Account('1').opened('Ann'))."
                )
        self._given = aggregate
        self._others = others

    def when(self, command: CommandType[A, P, Any], *args: P.args, **kwargs: P.kwargs) -> Self:
        """Let the aggregate decide about a command with these fields, by position or name."""
        __tracebackhide__ = True
        if not isinstance(command, CommandType):
            raise Misuse(
                f"when takes the type of a command, and then its fields, got {command!r}. Write: "
                "given(account).when(Account.withdraw, 20)."
            )
        try:
            # What is given is the past: its side effects have happened, too.
            with memory_runtime(triggers=False) as runtime:
                for other in self._others:
                    runtime.commit(other).unwrap()
                self.aggregate = runtime.commit(self._given).unwrap()
                decide = command.__get__(self.aggregate, type(self.aggregate))
                self.decision = decide(*args, **kwargs)
        except Exception as error:
            shorten(error)
            raise
        return self

    def then(self, *events: EventMessage) -> Self:
        """Exactly these events are the outcome; none: accepted, and nothing had to change."""
        __tracebackhide__ = True
        for one in events:
            if not isinstance(one, EventMessage):
                raise Misuse(
                    f"then takes the messages of events, got {one!r}. Write: "
                    "then(Account.withdrawn.message('1', 20))."
                )
        if isinstance(self.decision, Rejected):
            raise AssertionError(f"It was rejected: {self.decision.reason} {self.decision.data!r}")
        if self.decision.new_events != events:
            raise AssertionError(
                f"Expected {list(events)!r}, got {list(self.decision.new_events)!r}"
            )
        return self

    def then_rejected(self, reason: str, **data: Any) -> Self:
        """It is rejected for this reason, with at least this data (see `matches`)."""
        __tracebackhide__ = True
        if not isinstance(self.decision, Rejected):
            raise AssertionError(f"It was accepted: {list(self.decision.new_events)!r}")
        assert_matches(self.decision, {"reason": reason, "data": data})
        return self

    def then_state(self, **fields: Any) -> Self:
        """The aggregate has at least these field values afterwards (see `matches`)."""
        __tracebackhide__ = True
        state = self.aggregate if isinstance(self.decision, Rejected) else self.decision
        assert_matches(state, fields)
        return self
