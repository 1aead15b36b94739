"""Where statements of handlers go: to the database that the projection writes to, whatever routers say.

With a primary and a replica, routers send reads to the replica, which does not have what the batch's
transaction has just written. So a router of ours is put in front of the project's own; it has nothing to say
unless handlers are at work in this thread or task.
"""

from __future__ import annotations

from threading import Lock
from typing import Any

from django.db import models, router

from rill_django.domain.errors import RillError
from rill_django.projections.at_work import AtWork, current

Model = type[models.Model]


class RowIsNotStored(RillError, TypeError):
    """A handler of a `RowProjection` tried to store, delete or load its row itself."""

    def __init__(self, model: str) -> None:
        self.model = model
        super().__init__(
            f"A handler stores, deletes or loads its row of {model} itself. Set its fields, and leave the "
            "rest to the projection, which writes all rows of a batch together; to delete it, return DELETE. "
            "To check it, call clean_fields() and clean(): full_clean() compares it with what is stored, and "
            "the database will do that when the row is written."
        )

    def __reduce__(self) -> tuple[type[RowIsNotStored], tuple[str]]:
        return type(self), (self.model,)


class HandlersRouter:
    """Answers for handlers at work.

    - The projection's own models are read and written where the projection writes.
    - Others are read where the project's routers write them, so never from a replica.
    """

    def db_for_read(self, model: Model, **hints: Any) -> str | None:
        """See Django."""
        here = current.get()
        if here is None:
            return None
        if _is_own(model, here):
            _refuse_row(model, here, hints)
            return here.using
        # What the routers behind this one say, or Django.
        return str(router.db_for_write(model, **hints))

    def db_for_write(self, model: Model, **hints: Any) -> str | None:
        """See Django."""
        here = current.get()
        if here is None or not _is_own(model, here):
            return None
        _refuse_row(model, here, hints)
        return here.using


def _is_own(model: Model, here: AtWork) -> bool:
    return (model._meta.concrete_model or model) in here.models


def _refuse_row(model: Model, here: AtWork, hints: dict[str, Any]) -> None:
    """Refuse ``save``, ``delete`` and ``refresh_from_db`` of the row that the handler was given."""
    if here.row is None or hints.get("instance") is not here.row or model is not type(here.row):
        return
    if any(one.related_model is model for one in model._meta.get_fields() if one.is_relation):
        return  # May be a look at another row of the same model, to which this one refers.
    raise RowIsNotStored(model._meta.label)


_in_front = HandlersRouter()
_lock = Lock()


def put_in_front() -> None:
    """Have our router asked first. Whoever changes ``DATABASE_ROUTERS``, as tests do, takes it away."""
    routers = router.routers
    if routers and routers[0] is _in_front:
        return
    with _lock:
        others = [one for one in router.routers if one is not _in_front]
        router.routers = [_in_front, *others]
