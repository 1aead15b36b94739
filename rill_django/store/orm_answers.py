"""Answers in a table beside the log."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from datetime import timedelta

from django.db import IntegrityError, router, transaction

from rill_django.store.answers import DEFAULT_LIFETIME, IdempotencyKeyReused
from rill_django.store.deadlocks import SnapshotTooOld
from rill_django.store.moments import DatabaseTime
from rill_django.store.tables import Answer, Event


class DjangoAnswers:
    """See `Answers`.

    Args:
        using: alias of the database; default: that of the log.
        lifetime: how long an answer is remembered, by the database's clock.
    """

    def __init__(self, using: str | None = None, lifetime: timedelta = DEFAULT_LIFETIME) -> None:
        self._using = using
        self._lifetime = lifetime

    @property
    def using(self) -> str:
        """Alias of the database."""
        return self._using or router.db_for_write(Event)

    @contextmanager
    def transaction(self) -> Iterator[None]:
        """See `Answers.transaction`."""
        with transaction.atomic(using=self.using):
            yield

    def claim(self, key: str, command: str) -> bytes | None:
        """See `Answers.claim`."""
        answers = Answer.objects.using(self.using)
        answers.filter(key=key, expires_at__lte=DatabaseTime()).delete()
        try:
            # Waits here, at the primary key, for one who has claimed it and not committed yet.
            with transaction.atomic(using=self.using):
                answers.create(key=key, command=command, expires_at=DatabaseTime(self._lifetime))
        except IntegrityError:
            known = answers.filter(key=key).first()
            if known is None:
                raise SnapshotTooOld(
                    "Somebody else has used this idempotency key since this transaction began, whose "
                    "isolation level does not show it. Nothing is stored; begin the transaction anew."
                ) from None
            if known.command != command:
                raise IdempotencyKeyReused(key) from None
            return bytes(known.answer)
        return None

    def answer(self, key: str, answer: bytes) -> None:
        """See `Answers.answer`."""
        Answer.objects.using(self.using).filter(key=key).update(answer=answer)

    def prune(self) -> int:
        """See `Answers.prune`."""
        over = Answer.objects.using(self.using).filter(expires_at__lte=DatabaseTime())
        number: int = over.delete()[0]
        return number
