"""How far each projection is behind the log."""

from __future__ import annotations

from datetime import datetime
from typing import NamedTuple

from rill_django.projections.checkpoint import Checkpoint, State
from rill_django.projections.registry import current_projections
from rill_django.store.orm import DjangoEventStore
from rill_django.store.protocol import EventStore


class ProjectionStatus(NamedTuple):
    """Where a projection stands.

    Attributes:
        name: of the projection.
        state: running or stopped; ``None``: no worker has ever run it.
        position: the last position it has applied.
        head: the last position of the log.
        updated_at: when it last moved.
        failed_event: ``stream@version`` of the event it stands still at, or empty.
        error: traceback of the failure, or empty.
        models: verbose names of its models.
    """

    name: str
    state: State | None
    position: int
    head: int
    updated_at: datetime | None
    failed_event: str
    error: str
    models: tuple[str, ...]

    @property
    def lag(self) -> int:
        """Events that are in the log and not applied yet."""
        return max(self.head - self.position, 0)

    @property
    def progress(self) -> float:
        """Part of the log that is applied, from 0 to 1."""
        return min(self.position / self.head, 1.0) if self.head else 1.0

    @property
    def description(self) -> str:
        """The state in one word or two."""
        if self.state is None:
            return "never run"
        if self.state is State.STOPPED:
            return "stopped"
        return "behind" if self.lag else "up to date"


def projection_statuses(store: EventStore | None = None) -> list[ProjectionStatus]:
    """Return where each registered projection stands, in the order of their names."""
    head = (store or DjangoEventStore()).head()
    statuses = []
    for projection in current_projections().named():
        checkpoint = Checkpoint.objects.using(projection.using).filter(name=projection.name).first()
        statuses.append(
            ProjectionStatus(
                name=projection.name,
                state=State(checkpoint.state) if checkpoint else None,
                position=checkpoint.position if checkpoint else 0,
                head=head,
                updated_at=checkpoint.updated_at if checkpoint else None,
                failed_event=checkpoint.failed_event if checkpoint else "",
                error=checkpoint.error if checkpoint else "",
                models=tuple(str(model._meta.verbose_name_plural) for model in projection.models),
            )
        )
    return statuses
