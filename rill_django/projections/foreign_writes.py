"""While rows are made anew, handlers write to their projection's own tables alone.

A rebuild, and a verification, call them again for every event. What they write to other tables would be
there twice then, since only the projection's own tables are made beside.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING, Any

from django.apps import apps
from django.db.backends.base.base import BaseDatabaseWrapper

from rill_django.domain.errors import RillError

if TYPE_CHECKING:
    from rill_django.projections.projection import Projection

_WRITE = re.compile(
    r"\s*(?:INSERT\s+(?:IGNORE\s+|OR\s+\w+\s+)?INTO|REPLACE\s+INTO|UPDATE|DELETE\s+FROM)\s+"
    r"(?:[`\"]?\w+[`\"]?\.)?[`\"]?(\w+)",
    re.IGNORECASE,
)


class ForeignWrite(RillError, TypeError):
    """A handler writes to a table that is not its projection's, while rows are made anew."""

    def __init__(self, projection: str, model: str) -> None:
        self.projection = projection
        self.model = model
        super().__init__(
            f"A handler of the projection {projection} writes to {model}, which is not one of its models. "
            "That was done when the event was new, and would be done once more now that rows are made anew. "
            f"Name the model in models = (…,) of {projection}, or make another projection for it."
        )

    def __reduce__(self) -> tuple[type[ForeignWrite], tuple[str, str]]:
        return type(self), (self.projection, self.model)


def refusing(projection: Projection) -> Callable[..., Any]:
    """Return a wrapper of statements that refuses those which write to tables of other models."""
    own = projection.own_models()
    foreign = {
        model._meta.db_table: model._meta.label
        for model in apps.get_models(include_auto_created=True)
        if (model._meta.concrete_model or model) not in own
    }
    for model in own:
        foreign.pop(model._meta.db_table, None)

    def wrapper(
        execute: Callable[..., Any], sql: Any, params: Any, many: bool, context: Any
    ) -> Any:
        found = _WRITE.match(sql) if isinstance(sql, str) else None
        if found is not None and found[1] in foreign:
            raise ForeignWrite(projection.name, foreign[found[1]])
        return execute(sql, params, many, context)

    return wrapper


def begin_to_refuse(
    projection: Projection, connections: Sequence[BaseDatabaseWrapper]
) -> Callable[..., Any]:
    """Refuse such statements on these connections; return what `end_to_refuse` takes."""
    wrapper = refusing(projection)
    for connection in connections:
        connection.execute_wrappers.append(wrapper)
    return wrapper


def end_to_refuse(wrapper: Callable[..., Any], connections: Sequence[BaseDatabaseWrapper]) -> None:
    """Let statements pass again."""
    for connection in connections:
        connection.execute_wrappers.remove(wrapper)
