"""How far each projection is behind the log."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Collection, Mapping, Sequence
from datetime import datetime
from itertools import chain
from typing import NamedTuple

from django.db.models import Count

from rill_django.projections.checkpoint import INLINE, Checkpoint, State
from rill_django.projections.held import ParkedEvent
from rill_django.projections.projection import Projection
from rill_django.projections.reasons import reason_of
from rill_django.projections.registry import current_projections
from rill_django.projections.trust import NEVER_BUILT, reasons_for_distrust
from rill_django.projections.waits import NEWER_RELEASE
from rill_django.store import moments
from rill_django.store.orm import DjangoEventStore
from rill_django.store.protocol import EventStore, Waiting

NOTHING_WAITS = Waiting(0, 0.0)


class ProjectionStatus(NamedTuple):
    """Where a projection stands; or one part of it, if it has several.

    A projection is no further than the last of its partitions, and stands still if one of them does.

    Attributes:
        name: of the projection.
        state: running or stopped; ``None``: no worker has ever run it.
        position: the last position it has applied.
        head: the last position of the log.
        updated_at: when it last moved.
        failed_event: ``stream@version`` of the event it stands still at, or empty.
        error: traceback of the failure, or empty.
        models: verbose names of its models.
        lag_seconds: age of the oldest event that is not applied yet; 0: there is none.
        unsequenced: committed events of the log that have no position yet, so that no worker sees them.
        version: of the handlers that made its rows.
        partition: number of this partition, from 0.
        partitions: how many there are.
        is_beside: whether these are the rows that a rebuild makes beside the live ones.
        parked: events that wait because a handler failed on them, or on an earlier one of their key.
        is_inline: whether commands keep the rows up to date, and no worker.
        is_built: whether its rows are those of today's code; `ProjectionStatus.lag` is 0 for an inline
            projection that has rows, of whatever version. Rows without a checkpoint are not built: nobody
            knows which events they have.
        distrust: why the log is not the one that it has seen; empty: it is. Then it stands still, too.
        waiting_seconds: for how long a worker has been waiting for the database, or for a newer release, and
            goes on by itself afterwards; 0: it does not. `ProjectionStatus.error` says why.
        parts: its partitions and the rebuild beside, unless it is in one piece.
    """

    name: str
    state: State | None
    position: int
    head: int
    updated_at: datetime | None
    failed_event: str
    error: str
    models: tuple[str, ...]
    lag_seconds: float = 0.0
    version: int = 1
    partition: int = 0
    partitions: int = 1
    is_beside: bool = False
    parked: int = 0
    is_inline: bool = False
    is_built: bool = True
    distrust: str = ""
    waiting_seconds: float = 0.0
    parts: tuple[ProjectionStatus, ...] = ()
    unsequenced: Waiting = NOTHING_WAITS

    @property
    def pieces(self) -> tuple[ProjectionStatus, ...]:
        """What to show: the parts, or itself if it is in one piece."""
        return self.parts or (self,)

    @property
    def part(self) -> str:
        """Which part of the projection this is, e.g. ``2/4``; empty if it is the whole."""
        number = f"{self.partition + 1}/{self.partitions}" if self.partitions > 1 else ""
        return ", ".join(filter(None, (number, "beside" if self.is_beside else "")))

    @property
    def lag(self) -> int:
        """Events that are in the log and not applied yet, with those that wait for their position."""
        if self.is_kept_by_commands:
            return 0
        return max(self.head - self.position, 0) + self.unsequenced.number

    @property
    def is_kept_by_commands(self) -> bool:
        """Whether commands apply their events to it, before those have a position."""
        return self.is_inline and self.version > 0

    @property
    def lag_time(self) -> str:
        """`lag_seconds` for people, e.g. ``3 min``; empty if nothing is left to apply."""
        return in_words(self.lag_seconds) if self.lag else ""

    @property
    def unsequenced_time(self) -> str:
        """The age of the oldest event without a position, for people; empty if there is none."""
        return in_words(self.unsequenced.oldest_seconds) if self.unsequenced.number else ""

    @property
    def progress(self) -> float:
        """Part of the log that is applied, from 0 to 1."""
        return self.position / (self.position + self.lag) if self.lag else 1.0

    @property
    def description(self) -> str:
        """The state in one word or two."""
        if self.state is State.STOPPED:
            return "stopped"
        if self.is_waiting:
            return "waiting"
        if self.is_beside:
            return "rebuilding"
        if self.is_inline:
            return "inline" if self.is_built else "not built"
        if not self.is_built:
            return "not built"
        if self.state is None:
            return "never run"
        return "behind" if self.lag else "up to date"

    @property
    def is_waiting(self) -> bool:
        """Whether a worker waits until the database can do again what it is asked, or others have done it."""
        return self.waiting_seconds > 0

    @property
    def waits_for(self) -> str:
        """Whom it waits for, if it does, in words."""
        is_of_code = self.error.startswith(NEWER_RELEASE)
        return "a worker of a newer release" if is_of_code else "its database"

    @property
    def waiting_time(self) -> str:
        """`waiting_seconds` for people, e.g. ``3 min``."""
        return in_words(self.waiting_seconds)

    @property
    def reason(self) -> str:
        """The line of the error that says what happened: see `reason_of`."""
        return reason_of(self.error)


def projection_statuses(
    store: EventStore | None = None,
    *,
    names: Collection[str] = (),
    now: datetime | None = None,
) -> list[ProjectionStatus]:
    """Return where each registered projection stands, in the order of their names.

    Args:
        store: the log; default: the project's.
        names: of the projections; default: all.
        now: the time that lags are reckoned to; default: by the clock of the log's database.

    Raises:
        UnknownProjection: there is none of a name.
    """
    ages = _Ages(store or DjangoEventStore(), now)
    projections = current_projections().named(names)
    checkpoints: dict[str, list[Checkpoint]] = defaultdict(list)
    parked: dict[str, dict[int, int]] = defaultdict(dict)
    for using in {one.using for one in projections}:  # One query each, however many there are.
        of_these = [one.name for one in projections if one.using == using]
        for checkpoint in Checkpoint.objects.using(using).filter(name__in=of_these):
            checkpoints[checkpoint.name].append(checkpoint)
        waiting = ParkedEvent.objects.using(using).filter(projection__in=of_these).order_by()
        numbers = waiting.values_list("projection", "partition").annotate(number=Count("pk"))
        for name, partition, number in numbers:
            parked[name][partition] = number
    distrusted = reasons_for_distrust(chain.from_iterable(checkpoints.values()), ages.store)
    return [
        _status(one, checkpoints[one.name], parked[one.name], ages, distrusted)
        for one in projections
    ]


class _Ages:
    """Tells how old the events behind a position are; projections that are equally far ask once."""

    def __init__(self, store: EventStore, now: datetime | None) -> None:
        self.head = store.sequence()  # A look at the state waits for nobody.
        self.unsequenced = store.waiting()
        self.store = store
        self._now = now
        self._known: dict[int, float] = {}

    def since(self, moment: datetime | None) -> float:
        """Return the seconds since a moment by a worker's clock, more than 0: it may be ahead of this one."""
        if moment is None:
            return 0.0
        return max(((self._now or moments.now()) - moment).total_seconds(), 0.001)

    def behind(self, position: int) -> float:
        if position >= self.head:
            return self.unsequenced.oldest_seconds
        if position not in self._known:
            if self._now is None:
                self._now = self.store.now()  # Not this host's: its clock may be another one.
            oldest = next(iter(self.store.read().after(position).limit(1).stored()), None)
            age = (self._now - oldest.recorded_at).total_seconds() if oldest else 0.0
            self._known[position] = max(age, self.unsequenced.oldest_seconds, 0.0)
        return self._known[position]


def _status(
    projection: Projection,
    checkpoints: Sequence[Checkpoint],
    parked: Mapping[int, int],
    ages: _Ages,
    distrusted: Mapping[int, str],
) -> ProjectionStatus:
    models = tuple(str(model._meta.verbose_name_plural) for model in projection.models)
    nothing = ProjectionStatus(
        projection.name, None, 0, ages.head, None, "", "", models, unsequenced=ages.unsequenced
    )
    parts = [
        nothing._replace(
            state=_state(one, distrusted),
            position=one.position,
            updated_at=one.updated_at,
            failed_event=one.failed_event,
            error=distrusted.get(one.pk, one.error),
            distrust=distrusted.get(one.pk, ""),
            lag_seconds=ages.behind(one.position),
            waiting_seconds=ages.since(one.waiting_since) if one.is_waiting else 0.0,
            version=one.version,
            is_built=one.version != NEVER_BUILT,
            partition=one.partition,
            partitions=one.partitions,
            is_beside=one.is_beside,
            parked=0 if one.is_beside else parked.get(one.partition, 0),
        )
        for one in checkpoints
    ]
    live = [one for one in parts if not one.is_beside]
    if not live:
        live = [nothing._replace(lag_seconds=ages.behind(0))]
        parts = [*live, *parts]
    if projection.inline:
        live = [_inline(live[0], projection)]
        parts = [*live, *(one for one in parts if one.is_beside)]
    whole = _together(live)
    return whole._replace(parts=tuple(parts)) if parts != [whole] else whole


def _state(checkpoint: Checkpoint, distrusted: Mapping[int, str]) -> State:
    """Return the state as workers take it, whatever stands there; also if none has looked yet."""
    is_stopped = checkpoint.pk in distrusted or checkpoint.state == State.STOPPED
    return State(State.STOPPED if is_stopped else State.RUNNING)


def _inline(live: ProjectionStatus, projection: Projection) -> ProjectionStatus:
    """Return the state of rows that commands keep up to date; of a worker's rows, if they are still that."""
    is_theirs = live.state is not None and live.partitions == INLINE
    version = live.version if is_theirs else 0
    if live.head == 0 and not live.unsequenced.number and live.state is None:
        version = projection.version  # The first command will make its checkpoint.
    live = live._replace(
        partitions=1, version=version, is_inline=True, is_built=version == projection.version
    )
    if not version:
        return live
    # Every commit moves it, and notes no time.
    return live._replace(position=live.head, lag_seconds=0.0, updated_at=None)


def _together(parts: Sequence[ProjectionStatus]) -> ProjectionStatus:
    """Return the state of a projection that has these partitions."""
    if len(parts) == 1 and parts[0].partitions == 1:
        return parts[0]
    last = min(parts, key=lambda one: one.position)
    stopped = next((one for one in parts if one.state is State.STOPPED), None)
    failed = stopped or max(parts, key=lambda one: (one.waiting_seconds, -one.position))
    return last._replace(
        state=failed.state,
        failed_event=failed.failed_event,
        error=failed.error,
        distrust=failed.distrust,
        waiting_seconds=failed.waiting_seconds,
        updated_at=max(one.updated_at for one in parts if one.updated_at),
        partition=0,
        partitions=1,
        parked=sum(one.parked for one in parts),
    )


def in_words(seconds: float) -> str:
    """Return a span of time in its largest unit, rounded down: ``45 s``, ``3 min``, ``2 h``, ``5 d``."""
    for size, unit in ((86_400, "d"), (3_600, "h"), (60, "min")):
        if seconds >= size:
            return f"{seconds // size:.0f} {unit}"
    return f"{seconds:.0f} s" if seconds >= 1 else "under 1 s"
