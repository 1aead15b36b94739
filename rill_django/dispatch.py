"""Commands from message to result: fetch, decide, commit, and try again when a race is lost."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterable, Mapping
from datetime import datetime
from functools import partial
from hashlib import sha256
from typing import Any, TypeVar

import msgspec

from rill_django.domain.aggregates import Aggregate
from rill_django.domain.codec import decode_events
from rill_django.domain.limits import Limits
from rill_django.domain.messages import CommandMessage, EventMessage
from rill_django.domain.registry import current_registry
from rill_django.domain.remembered import Remembered
from rill_django.domain.results import Conflict, Later, Ok, Rejected, Result
from rill_django.domain.runtime import Runtime, use
from rill_django.repository import Repository, replay
from rill_django.repository.wrong_values import not_a_command, not_a_version
from rill_django.store.answers import refuse_unusable_key
from rill_django.store.pauses import pause_after
from rill_django.store.read_only import refuse_commit

A = TypeVar("A", bound=Aggregate)


class Dispatcher(Runtime):
    """Carries out commands on one repository.

    Args:
        repository: where aggregates are fetched from and committed to.
        conflict_tries: how often a command is tried in all when others commit first.
    """

    def __init__(self, repository: Repository, *, conflict_tries: int = 15) -> None:
        self.repository = repository
        self._conflict_tries = conflict_tries

    @property
    def limits(self) -> Limits:
        """See `Runtime.limits`."""
        return self.repository.limits

    def update(self, aggregate: A) -> A:
        """See `Repository.update`."""
        return self.repository.update(aggregate)

    def commit(
        self, decision: A | Rejected, *, metadata: Mapping[str, Any] | None = None
    ) -> Result[A]:
        """See `Repository.commit`."""
        return self.repository.commit(decision, metadata=metadata)

    def get_all(self, aggregates: Iterable[A]) -> list[A]:
        """See `Repository.get_all`."""
        return self.repository.get_all(aggregates)

    def commit_all(
        self,
        decisions: Iterable[A | Rejected],
        *,
        metadata: Mapping[str, Any] | None = None,
        occurred_at: Callable[[EventMessage], datetime | None] | None = None,
    ) -> list[Ok[A] | Rejected]:
        """See `Repository.commit_all`."""
        return self.repository.commit_all(decisions, metadata=metadata, occurred_at=occurred_at)

    def transact(
        self,
        message: CommandMessage,
        *,
        expected_version: int | None = None,
        idempotency_key: str | None = None,
        guard: Callable[[Any], object] | None = None,
    ) -> Result[Any]:
        """Fetch the message's aggregate, let it decide, and commit.

        A lost race is tried again some times, with pauses at random; then it is a `Conflict`.

        Args:
            message: the command as data, e.g. ``Account.withdraw.message("12345678", amount=20)``.
            expected_version: version that the caller has seen. If the stream is no longer there,
                nothing is decided or tried again: it is a `Conflict`.
            idempotency_key: stands for this command and its repetitions. The first is carried out;
                the others, also at the same moment, get its result with ``is_repetition`` set, and decide
                nothing. A `Conflict` is not remembered: it asks for another try.
            guard: called with the aggregate, up to date, before it decides, and again at each try; what it
                raises ends the command. Not called for a repetition, which decides nothing.

        Raises:
            InvalidMessage: a precondition of the command does not hold; or, with an idempotency key, a
                rejection says something that cannot be stored, e.g. an infinite Decimal.
            IdempotencyKeyReused: the key was used for another command.
            ValueError: the idempotency key is empty, too long, or has characters that cannot be stored.
            CommitInHandler: a projection's handlers are at work, which only derive rows.
            CommitInCommand: a command decides, or an event method runs.
        """
        refuse_commit()
        if not isinstance(message, CommandMessage):
            raise not_a_command(message)
        if expected_version is not None and not isinstance(expected_version, int):
            raise not_a_version(expected_version)
        if idempotency_key is not None:
            refuse_unusable_key(idempotency_key)
        with use(self):  # What the command reads comes from the same place.
            lost: Conflict | None = None
            took = 0.0
            for failures in range(self._conflict_tries):
                if failures:
                    pause_after(failures, took)
                began = time.monotonic()
                result = self.repository.store.begun_anew(
                    partial(self._try, message, expected_version, idempotency_key, guard, lost)
                )
                if not isinstance(result, Conflict) or expected_version is not None:
                    return result
                if result is lost:
                    break  # Whoever came first stays unseen, as long as the caller's transaction goes on.
                lost, took = result, time.monotonic() - began
            return result

    def _try(
        self,
        message: CommandMessage,
        expected_version: int | None,
        key: str | None,
        guard: Callable[[Any], object] | None,
        lost: Conflict | None,
    ) -> Result[Any]:
        """Carry out a command, or return what it was answered before, in one transaction."""
        if key is None:
            return self._carry_out(message, expected_version, guard, lost)
        answers = self.repository.store.answers
        try:
            with answers.transaction():
                known = answers.claim(key, _digest(message))
                if known is not None:
                    return self._repeat(message, known)
                result = self._carry_out(message, expected_version, guard, lost)
                if isinstance(result, Conflict):
                    raise _NoAnswer(result)
                remembered = Remembered.of(result)
                answers.answer(key, remembered.encoded())
                # What the first one is told is what all others will be.
                if isinstance(result, Rejected):
                    return remembered.rejection(result.aggregate)
                return result
        except _NoAnswer as no_answer:
            return no_answer.conflict

    def _carry_out(
        self,
        message: CommandMessage,
        expected_version: int | None,
        guard: Callable[[Any], object] | None,
        lost: Conflict | None,
    ) -> Result[Any]:
        definition = message.definition
        aggregate = self.repository.update(definition.aggregate.empty(message))
        if expected_version is not None and aggregate.version != expected_version:
            return Conflict(aggregate.stream, expected_version, aggregate.version)
        if lost is not None and aggregate.version < lost.actual_version:
            return lost
        if guard is not None:
            guard(aggregate)
        return self.commit(
            definition.decide(aggregate, message), metadata={"command": definition.name}
        )

    def _repeat(self, message: CommandMessage, answer: bytes) -> Result[Any]:
        """Return the result that a command had the first time."""
        known = Remembered.decoded(answer)
        empty = message.definition.aggregate.empty(message)
        events = self.repository.store.read().stream(empty.stream)

        def aggregate() -> Any:
            """Read and apply all events up to its version: few callers want to see it."""
            stored = self.repository.store.load(empty.stream)[: known.version + 1]
            found = replay(empty, decode_events(stored, current_registry()))
            return msgspec.structs.replace(found, _version=known.version)

        later = Later(empty.stream, known.version, aggregate)
        if known.reason is not None:
            return known.rejection(later, is_repetition=True)
        own = events.from_version(known.version + 1 - known.events).limit(known.events).stored()
        told = (msgspec.structs.replace(one, position=None) for one in own)  # As the first time.
        events_then = tuple(decode_events(told, current_registry()))
        return Ok(later, events_then, is_repetition=True)


class _NoAnswer(Exception):
    """A conflict is no answer that would hold, so the key is left free."""

    def __init__(self, conflict: Conflict) -> None:
        self.conflict = conflict


def _digest(message: CommandMessage) -> str:
    """Return what two commands have in common if and only if they are the same."""
    name = message.definition.name.encode()
    values = msgspec.to_builtins(message, str_keys=True)
    return sha256(name + b"\0" + msgspec.json.encode(values, order="sorted")).hexdigest()
