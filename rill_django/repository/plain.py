"""The repository that fetches and commits, and keeps nothing."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from datetime import datetime
from typing import Any, TypeVar

import msgspec

from rill_django.domain.aggregates import Aggregate
from rill_django.domain.codec import decode_events, encode_event, encode_metadata
from rill_django.domain.errors import ConflictError, RejectedError
from rill_django.domain.left_out import is_left_out, refuse_left_out
from rill_django.domain.limits import Limits
from rill_django.domain.messages import EventMessage
from rill_django.domain.metadata import current_metadata
from rill_django.domain.records import RecordedEvent, StoredEvent
from rill_django.domain.registry import current_registry
from rill_django.domain.results import Conflict, Ok, Rejected, Result
from rill_django.domain.state import freeze_state
from rill_django.repository.inline import Inline, Refused
from rill_django.repository.wrong_values import not_a_decision, not_empty_aggregates, not_many
from rill_django.store.protocol import Append, EventStore, WrongExpectedVersion
from rill_django.store.read_only import refuse_commit

A = TypeVar("A", bound=Aggregate)

Listener = Callable[[Sequence[RecordedEvent]], object]
"""Gets the events of a commit, once it is final."""


def replay(aggregate: A, events: Iterable[RecordedEvent]) -> A:
    """Return the aggregate with stored events applied.

    Events it does not know leave it as it is; which these are, `Aggregate.unknown_events` tells.
    """
    version = aggregate.version
    kind = type(aggregate)
    unknown: dict[str, None] = {}
    for event in events:
        definition = getattr(event.message, "definition", None)
        if definition is not None and definition.aggregate is kind:
            aggregate = definition.apply_recorded(aggregate, event.message)
        elif is_left_out(event, kind):
            unknown[event.type] = None
        version = event.version
    if unknown:
        names = tuple(dict.fromkeys((*aggregate.unknown_events, *unknown)))
        aggregate = msgspec.structs.replace(aggregate, _unknown_events=names)
    return freeze_state(msgspec.structs.replace(aggregate, _version=version, _evolved=False))


class Repository:
    """Fetches aggregates from a store and commits their new events to it. Keeps nothing.

    Args:
        store: where the events are.
        listeners: called with the events of every commit, once it is final.
        limits: what a commit may be.
        inline: what takes part in the transaction of a commit.
    """

    def __init__(
        self,
        store: EventStore,
        listeners: Sequence[Listener] = (),
        *,
        limits: Limits = Limits(),  # noqa: B008 - immutable
        inline: Inline | None = None,
    ) -> None:
        self.store = store
        self._inline = inline
        self._listeners = tuple(listeners)
        self.limits = limits

    def get(self, aggregate: type[A], *keys: Any, **named_keys: Any) -> A:
        """Fetch by key. A stream with no events gives the empty aggregate.

        Raises:
            InvalidMessage: a key has the wrong type.
            UnreadableEvent: a stored event does not fit today's code.
        """
        return self.update(aggregate(*keys, **named_keys))

    def update(self, aggregate: A) -> A:
        """Return the aggregate with all events applied that its stream has beyond its version.

        Raises:
            ValueError: the aggregate has uncommitted events, which would come out of order.
        """
        refuse_uncommitted(aggregate)
        return self._caught_up(aggregate)[0]

    def get_all(self, aggregates: Iterable[A]) -> list[A]:
        """Fetch many aggregates in one query, given their empty descriptors; in the same order."""
        empty = list(aggregates)
        for one in empty:
            if not isinstance(one, Aggregate):
                raise not_empty_aggregates(one)
        found = self.store.load_all([one.stream for one in empty])
        return [self._replayed(one.emptied(), found.get(one.stream, ())) for one in empty]

    def _caught_up(self, aggregate: A) -> tuple[A, Sequence[StoredEvent]]:
        """Return the aggregate up to date, and the events that were read for it."""
        stored = self.store.load(aggregate.stream, aggregate.version + 1)
        return self._replayed(aggregate, stored), stored

    @staticmethod
    def _replayed(aggregate: A, stored: Sequence[StoredEvent]) -> A:
        if not stored:
            return aggregate
        replayed = replay(aggregate, decode_events(stored, current_registry()))
        # An upcaster may have dropped the last events; their versions count all the same.
        if replayed.version == stored[-1].version:
            return replayed
        return msgspec.structs.replace(replayed, _version=stored[-1].version)

    def commit(
        self, decision: A | Rejected, *, metadata: Mapping[str, Any] | None = None
    ) -> Result[A]:
        """Store the new events of an aggregate; pass a rejection through.

        Args:
            decision: what a command returned.
            metadata: added to what the context carries.

        Returns:
            `Ok`, also when there was nothing to store; `Rejected`, also by a constraint of an inline
            projection; or `Conflict` if the stream has moved on since the aggregate was fetched.

        Raises:
            UnknownEvents: the stream holds events that no code knows.
            CommitInHandler: a projection's handlers are at work, which only derive rows.
            CommitInCommand: a command decides, or an event method runs.
        """
        refuse_commit()
        if isinstance(decision, Rejected):
            return decision
        append = self._append(decision, metadata or {}, None)
        try:
            (stored,) = self._store([append])
        except WrongExpectedVersion as lost:
            return Conflict(lost.stream, lost.expected_version, lost.actual_version)
        except Refused as refused:
            return Rejected(refused.reason, refused.data, self._before(decision))
        return self._ok(decision, stored)

    def commit_all(
        self,
        decisions: Iterable[A | Rejected],
        *,
        metadata: Mapping[str, Any] | None = None,
        occurred_at: Callable[[EventMessage], datetime | None] | None = None,
    ) -> list[Ok[A] | Rejected]:
        """Store the new events of many aggregates in one statement: all of them, or none.

        For importing history, which is much faster than by single commits.

        Args:
            decisions: what commands returned, of different aggregates.
            metadata: added to what the context carries.
            occurred_at: says when an event happened, which goes into its metadata; ``None``: unknown.

        Returns:
            `Ok` or `Rejected` for each, in the same order.

        Raises:
            ConflictError: a stream has moved on since its aggregate was fetched. Nothing is stored.
            UnknownEvents: a stream holds events that no code knows. Nothing is stored.
            RejectedError: a constraint of an inline projection rejects one of them. Nothing is stored.
            ValueError: an aggregate is there twice.
            CommitInHandler: a projection's handlers are at work, which only derive rows.
            CommitInCommand: a command decides, or an event method runs.
        """
        refuse_commit()
        if isinstance(decisions, (Aggregate, Rejected)):
            raise not_many(decisions)
        decided = list(decisions)
        accepted = [one for one in decided if not isinstance(one, Rejected)]
        appends = [self._append(one, metadata or {}, occurred_at) for one in accepted]
        try:
            appended = iter(self._store(appends))
        except WrongExpectedVersion as lost:
            conflict = Conflict(lost.stream, lost.expected_version, lost.actual_version)
            raise ConflictError(conflict) from None
        except Refused as refused:
            culprit = next(
                one for one in accepted if one.stream == refused.stream and one.uncommitted
            )
            rejected = Rejected(refused.reason, refused.data, self._before(culprit))
            raise RejectedError(rejected) from refused
        return [
            one if isinstance(one, Rejected) else self._ok(one, next(appended)) for one in decided
        ]

    def _store(self, appends: Sequence[Append]) -> Sequence[Sequence[StoredEvent]]:
        if self._inline is not None and self._inline.wants(appends):
            return self._inline.append_all(appends)
        if len(appends) == 1:
            (one,) = appends
            return [self.store.append(one.stream, one.expected_version, one.events)]
        return self.store.append_all(appends)

    def _before(self, aggregate: A) -> A:
        """Return an aggregate without its new events."""
        empty = aggregate.emptied()
        if aggregate.is_new:
            return empty
        return self._replayed(empty, self.store.load(aggregate.stream)[: aggregate.version + 1])

    def _append(
        self,
        aggregate: Aggregate,
        metadata: Mapping[str, Any],
        occurred_at: Callable[[EventMessage], datetime | None] | None,
    ) -> Append:
        """Encode an aggregate's new events."""
        if not isinstance(aggregate, Aggregate):
            raise not_a_decision(aggregate)
        refuse_evolved(aggregate)
        stream = aggregate.stream
        if not aggregate.new_events:
            return Append(stream, aggregate.version, ())
        if aggregate.unknown_events:
            refuse_left_out(aggregate)
        carried = {**current_metadata(), **metadata}
        encoded = encode_metadata(carried)
        events = [
            encode_event(
                message,
                encoded
                if occurred_at is None
                else encode_metadata({**carried, "occurred_at": occurred_at(message)}),
            )
            for message in aggregate.new_events
        ]
        self.limits.check(stream, events)
        return Append(stream, aggregate.version, events)

    def _ok(self, aggregate: A, stored: Sequence[StoredEvent]) -> Ok[A]:
        """Return the result of a commit, and see to what follows from it."""
        if not stored:
            return Ok(aggregate)
        committed = msgspec.structs.replace(aggregate, _version=stored[-1].version, _new_events=())
        registry = current_registry()
        events = tuple(decode_events(stored, registry))
        is_upcast = any(registry.has_upcasters_for(event.type) for event in stored)
        if is_upcast and tuple(event.message for event in events) != aggregate.new_events:
            committed = self._before(committed)  # What it is whenever it is fetched.
        self._committed(committed, stored)
        if self._listeners:
            self.store.after_commit(lambda: self._tell(events))
        return Ok(committed, events)

    def _committed(self, aggregate: Aggregate, stored: Sequence[StoredEvent]) -> None:
        """Take note of an aggregate whose last events are these, stored if maybe not committed yet."""

    def _tell(self, events: Sequence[RecordedEvent]) -> None:
        for listener in self._listeners:
            listener(events)


def refuse_uncommitted(aggregate: Aggregate) -> None:
    """Raise a ValueError if the aggregate is not what its stored events make of it."""
    refuse_evolved(aggregate)
    if aggregate.uncommitted:
        raise ValueError(
            f"{aggregate!r} has uncommitted events; newer ones from the store cannot go before them. "
            "Commit it, or fetch it anew."
        )


def refuse_evolved(aggregate: Aggregate) -> None:
    """Raise a ValueError if the aggregate was changed other than by events."""
    if aggregate._evolved:
        raise ValueError(
            f"{aggregate!r} was changed by evolve and not by an event, so no reload would give it. "
            "Fetch it anew, and change it by an event."
        )
