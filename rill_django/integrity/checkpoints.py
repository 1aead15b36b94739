"""Checks of how far projections are said to have come."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import datetime
from functools import partial
from typing import Any

from django.apps import apps
from django.db import connections, router
from django.db.models import Max

from rill_django.integrity.findings import Damage, Findings
from rill_django.integrity.reading import read
from rill_django.store.orm import DjangoEventStore
from rill_django.store.tables import Position

_COLUMNS = ("name", "partition", "partitions", "position", "seen", "state", "updated_at")
_STATES = ("running", "stopped")


def check_checkpoints(store: DjangoEventStore, findings: Findings) -> None:
    """Check the checkpoints of all projections, in whatever databases they are."""
    # The layer of projections is none of ours; only its table is looked at.
    model = apps.get_model("rill_django", "Checkpoint")
    for using in connections:
        if not router.allow_migrate_model(using, model):
            continue
        if model._meta.db_table not in connections[using].introspection.table_names():
            continue
        checkpoints = model.objects.using(using).order_by("pk")
        rows = [
            read(partial(checkpoints.values(*_COLUMNS).get, pk=key), {"pk": key}, store)
            for key in checkpoints.values_list("pk", flat=True)
        ]
        # Behind the checkpoints, which move on meanwhile.
        head = Position.objects.using(store.using).aggregate(head=Max("position"))["head"] or 0
        for row in rows:
            if "name" not in row:
                what = f"the row with the id {row['pk']} ({using}) cannot be read"
                findings.note(Damage.CHECKPOINT, 0, what)
                continue
            faults = "; ".join([*_faults(row, head), *_unseen(row, head, store)])
            if faults:
                what = f"{row['name']} ({using}, partition {row['partition']}): {faults}"
                findings.note(Damage.CHECKPOINT, 0, what)


def _unseen(row: dict[str, Any], head: int, store: DjangoEventStore) -> Iterator[str]:
    """Yield what stands in the log in place of the event that the checkpoint has seen."""
    position, seen = row["position"], row["seen"]
    if not seen or type(position) is not int or not 0 < position <= head:
        return
    found = store.identities_at([position]).get(position)
    if found != seen:
        yield f"it has seen {seen} at position {position:,}, where there is {found or 'no event'} now"


def _faults(row: dict[str, Any], head: int) -> Iterator[str]:
    position = row["position"]
    if type(position) is not int or position < 0:
        yield f"its position is {repr(position)[:100]}"
    elif position > head:
        yield f"it is at position {position:,}, and the log ends at {head:,}"
    if row["state"] not in _STATES:
        yield f"its state is {repr(row['state'])[:100]}"
    if not isinstance(row["updated_at"], datetime):
        yield f"it was updated at no time, but {repr(row['updated_at'])[:100]}"
    partition, partitions = row["partition"], row["partitions"]
    if type(partition) is not int or type(partitions) is not int:
        yield "its partitions are no numbers"
    elif partitions and not 0 <= partition < partitions:
        yield f"there is no partition {partition} of {partitions}"
