"""Event sourcing and CQRS for Django, after the model of the Clojure library Rill/Wheel."""

from msgspec import Meta

from rill_django.domain.aggregates import Aggregate
from rill_django.domain.conditions import ensure, require
from rill_django.domain.definitions import command, event
from rill_django.domain.errors import (
    ConflictError,
    DefinitionError,
    InvalidMessage,
    RejectedError,
    RillError,
    UnknownEvents,
    UnknownMessageType,
    UnreadableEvent,
)
from rill_django.domain.keys import key
from rill_django.domain.metadata import metadata
from rill_django.domain.records import RecordedEvent
from rill_django.domain.results import Conflict, Ok, Rejected, Result
from rill_django.domain.runtime import commit, commit_all, get_all, transact
from rill_django.domain.upcasting import RawEvent, upcast
from rill_django.projections.handler_marks import on, on_batch
from rill_django.projections.handler_results import Deletion
from rill_django.projections.projection import PARK, STOP, Projection
from rill_django.projections.rows import DELETE, RowProjection
from rill_django.projections.waiting import wait_for
from rill_django.triggers import after_commit

__version__ = "0.1.0"

__all__ = [
    "DELETE",
    "PARK",
    "STOP",
    "Aggregate",
    "Conflict",
    "ConflictError",
    "DefinitionError",
    "Deletion",
    "InvalidMessage",
    "Meta",
    "Ok",
    "Projection",
    "RawEvent",
    "RecordedEvent",
    "Rejected",
    "RejectedError",
    "Result",
    "RillError",
    "RowProjection",
    "UnknownEvents",
    "UnknownMessageType",
    "UnreadableEvent",
    "after_commit",
    "command",
    "commit",
    "commit_all",
    "ensure",
    "event",
    "get_all",
    "key",
    "metadata",
    "on",
    "on_batch",
    "require",
    "transact",
    "upcast",
    "wait_for",
]
