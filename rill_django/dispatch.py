"""Commands from message to result: fetch, decide, commit, and try again when a race is lost."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, TypeVar

from rill_django.domain.aggregates import Aggregate
from rill_django.domain.messages import CommandMessage
from rill_django.domain.results import Conflict, Rejected, Result
from rill_django.domain.runtime import Runtime, use
from rill_django.repository import Repository

A = TypeVar("A", bound=Aggregate)


class Dispatcher(Runtime):
    """Carries out commands on one repository.

    Args:
        repository: where aggregates are fetched from and committed to.
        conflict_tries: how often a command is tried in all when others commit first.
    """

    def __init__(self, repository: Repository, *, conflict_tries: int = 3) -> None:
        self.repository = repository
        self._conflict_tries = conflict_tries

    def update(self, aggregate: A) -> A:
        """See `Repository.update`."""
        return self.repository.update(aggregate)

    def commit(
        self, decision: A | Rejected, *, metadata: Mapping[str, Any] | None = None
    ) -> Result[A]:
        """See `Repository.commit`."""
        return self.repository.commit(decision, metadata=metadata)

    def transact(
        self, message: CommandMessage, *, expected_version: int | None = None
    ) -> Result[Any]:
        """Fetch the message's aggregate, let it decide, and commit.

        A lost race is tried again some times; then it is a `Conflict`.

        Args:
            message: the command as data, e.g. ``Account.withdraw.message("12345678", amount=20)``.
            expected_version: version that the caller has seen. If the stream is no longer there,
                nothing is decided or tried again: it is a `Conflict`.

        Raises:
            InvalidMessage: a precondition of the command does not hold.
        """
        definition = message.definition
        empty = definition.aggregate.empty(message)
        with use(self):  # What the command reads comes from the same place.
            for _ in range(self._conflict_tries):
                aggregate = self.repository.update(empty)
                if expected_version is not None and aggregate.version != expected_version:
                    return Conflict(aggregate.stream, expected_version, aggregate.version)
                result = self.commit(
                    definition.decide(aggregate, message), metadata={"command": definition.name}
                )
                if not isinstance(result, Conflict) or expected_version is not None:
                    return result
        return result
