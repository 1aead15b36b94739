"""Checks of the answers that are remembered for idempotency keys."""

from __future__ import annotations

import re
from collections.abc import Iterator
from datetime import datetime
from functools import partial
from typing import Any

from rill_django.domain.remembered import Remembered
from rill_django.domain.typed_json import decode_typed
from rill_django.integrity.findings import Damage, Findings
from rill_django.integrity.reading import connection_of, is_trouble_of_the_database, read
from rill_django.store.orm import DjangoEventStore
from rill_django.store.tables import Answer

AT_ONCE = 200

_DIGEST = re.compile(r"[0-9a-f]{64}")
_COLUMNS = ("command", "answer", "expires_at")


def check_answers(store: DjangoEventStore, findings: Findings) -> None:
    """Check that every answer can be given again, and has a time at which it is forgotten."""
    answers = Answer.objects.using(store.using).order_by("key")
    after: str | None = None
    while True:
        left = answers if after is None else answers.filter(key__gt=after)
        some = left.values_list("key", flat=True)[:AT_ONCE]
        keys: list[str] | None = read(partial(list, some), None, store)
        if keys is None:
            findings.note(Damage.ANSWER, 0, f"a key behind {repr(after)[:200]} cannot be read")
            return
        for key in keys:
            faults = "; ".join(_faults(store, key))
            if faults:
                findings.note(Damage.ANSWER, 0, f"key {repr(key)[:200]}: {faults}")
        if len(keys) < AT_ONCE:
            return
        after = keys[-1]


def _faults(store: DjangoEventStore, key: str) -> Iterator[str]:
    row = Answer.objects.using(store.using).filter(key=key)
    try:
        found = row.values(*_COLUMNS).first()
    except Exception as error:
        if is_trouble_of_the_database(error, connection_of(store)):
            raise
        yield f"{type(error).__name__}: {error}"
        return
    if found is None:  # Forgotten meanwhile.
        return
    if not isinstance(found["command"], str) or not _DIGEST.fullmatch(found["command"]):
        yield "the digest of its command is none"
    if not isinstance(found["expires_at"], datetime):
        yield f"it has no time at which it expires, but {repr(found['expires_at'])[:100]}"
    fault = _fault_of_answer(found["answer"])
    if fault:
        yield fault


def _fault_of_answer(answer: Any) -> str | None:
    if not isinstance(answer, (bytes, bytearray, memoryview)):
        return f"its answer cannot be read: it is {repr(answer)[:100]}"
    try:
        known = Remembered.decoded(bytes(answer))
        decode_typed(known.data)
    except (ValueError, RecursionError) as error:
        return f"its answer cannot be read: {error}"
    return None
