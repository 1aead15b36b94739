"""What was answered to commands that carry an idempotency key."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import AbstractContextManager, contextmanager
from datetime import datetime, timedelta, timezone
from threading import RLock
from typing import NamedTuple, Protocol

from rill_django.domain.errors import Misuse, RillError

DEFAULT_LIFETIME = timedelta(days=7)
MAX_KEY_LENGTH = 255
"""Characters of an idempotency key."""


class IdempotencyKeyReused(RillError, ValueError):
    """The key was used for another command before.

    Attributes:
        key: the idempotency key.
    """

    def __init__(self, key: str) -> None:
        self.key = key
        super().__init__(
            f"The idempotency key {key!r} was used for another command. A key stands for one command "
            "and its repetitions; make a new one."
        )


def refuse_unusable_key(key: str) -> None:
    """Check that every database keeps an idempotency key as it is.

    Raises:
        TypeError: it is no text.
        ValueError: it is empty, too long, or no text that can be stored.
    """
    if not isinstance(key, str):
        raise Misuse(
            f"idempotency_key takes a text, got {key!r}. Write: idempotency_key={str(key)!r}."
        )
    if not 0 < len(key) <= MAX_KEY_LENGTH:
        raise ValueError(
            f"An idempotency key has 1 to {MAX_KEY_LENGTH} characters; this one has {len(key)}."
        )
    if "\0" in key or any("\ud800" <= character <= "\udfff" for character in key):
        raise ValueError(f"The idempotency key {key!r} has characters that cannot be stored.")


class Answers(Protocol):
    """Remembers answers beside the events, in the same transaction."""

    def transaction(self) -> AbstractContextManager[None]:
        """What is done inside is stored as a whole or not at all, events included."""

    def claim(self, key: str, command: str) -> bytes | None:
        """Return the answer that the key has; ``None``: it has none, and is ours from here on.

        Waits for somebody else who is just finding the answer.

        Args:
            key: the idempotency key.
            command: digest of the command.

        Raises:
            IdempotencyKeyReused: the key belongs to another command.
        """

    def answer(self, key: str, answer: bytes) -> None:
        """Remember the answer to a key that is ours."""

    def prune(self) -> int:
        """Forget the answers whose time is over; return how many."""


class _Entry(NamedTuple):
    command: str
    answer: bytes | None
    expires_at: datetime


class MemoryAnswers:
    """See `Answers`. One transaction at a time."""

    def __init__(self, lifetime: timedelta = DEFAULT_LIFETIME) -> None:
        self._lifetime = lifetime
        self._lock = RLock()
        self._entries: dict[str, _Entry] = {}

    @contextmanager
    def transaction(self) -> Iterator[None]:
        """See `Answers.transaction`."""
        with self._lock:
            before = dict(self._entries)
            try:
                yield
            except BaseException:
                self._entries = before
                raise

    def claim(self, key: str, command: str) -> bytes | None:
        """See `Answers.claim`."""
        self.prune()
        entry = self._entries.get(key)
        if entry is None:
            self._entries[key] = _Entry(command, None, _now() + self._lifetime)
            return None
        if entry.command != command:
            raise IdempotencyKeyReused(key)
        return entry.answer

    def answer(self, key: str, answer: bytes) -> None:
        """See `Answers.answer`."""
        self._entries[key] = self._entries[key]._replace(answer=answer)

    def prune(self) -> int:
        """See `Answers.prune`."""
        over = [key for key, entry in self._entries.items() if entry.expires_at <= _now()]
        for key in over:
            del self._entries[key]
        return len(over)


def _now() -> datetime:
    return datetime.now(timezone.utc)
