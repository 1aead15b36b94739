"""While a projection's handlers run, or a command decides, events can be read, and none can be committed.

Handlers derive rows from events, and are called again for all of them by a rebuild; commands are tried again.
What they committed would be committed again each time.
"""

from __future__ import annotations

from contextvars import ContextVar, Token

from rill_django.domain.deciding import refuse_commit_in_command
from rill_django.domain.errors import RillError

_projection: ContextVar[str] = ContextVar("rill_projection_at_work", default="")


class CommitInHandler(RillError, RuntimeError):
    """A projection's handler, or key function, tried to commit events. None was.

    Attributes:
        projection: its name.
    """

    def __init__(self, projection: str) -> None:
        self.projection = projection
        super().__init__(
            f"A handler of the projection {projection} tries to commit events. Handlers only derive rows: a "
            "rebuild calls them again for every event of the log, and would commit all of it again. Commit "
            "in a trigger (@after_commit), which is called once, after the commit; or, if it must not be "
            "lost when a process dies, in a program of your own that follows the log "
            "(store.subscribe(after=…)) and keeps its position."
        )

    def __reduce__(self) -> tuple[type[CommitInHandler], tuple[str]]:
        return type(self), (self.projection,)


def begin_read_only(projection: str) -> Token[str]:
    """Refuse commits in this thread or task from now on, on behalf of a projection's handlers."""
    return _projection.set(projection)


def end_read_only(token: Token[str]) -> None:
    """Allow what was allowed before."""
    _projection.reset(token)


def refuse_commit() -> None:
    """Raise an error if a projection's handlers are at work in this thread or task, or a command is.

    Raises:
        CommitInHandler, CommitInCommand: they are.
    """
    if projection := _projection.get():
        raise CommitInHandler(projection)
    refuse_commit_in_command()
