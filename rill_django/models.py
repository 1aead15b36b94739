"""The tables: the log (events, and their positions), and the projections' checkpoints."""

from __future__ import annotations

from rill_django.projections.checkpoint import Checkpoint
from rill_django.projections.held import ParkedEvent, SkippedEvent
from rill_django.store.tables import Answer, Event, Position, StoredType, Unsequenced

__all__ = [
    "Answer",
    "Checkpoint",
    "Event",
    "ParkedEvent",
    "Position",
    "SkippedEvent",
    "StoredType",
    "Unsequenced",
]
