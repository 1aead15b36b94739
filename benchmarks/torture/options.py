"""What a run is made of."""

from __future__ import annotations

import time
from pathlib import Path

import msgspec


class Options(msgspec.Struct, frozen=True, kw_only=True):
    """The size of a run.

    Attributes:
        seed: decides what the writers do, and when the victim is killed.
        seconds: how long the writers write.
        transactions: how many each of them does at least, if that takes longer.
        writers: processes that append.
        steady_pollers: processes that read the log all the time; one more is killed again and again.
        open_transactions: whether one transaction that has appended, and one that has nothing to do
            with it, stay open for the whole run. Not on SQLite, where nobody else could write.
        naive: poll by event id, as one should not: to see that the checker notices.
        folder: where the processes leave what the others have to know.
    """

    seed: int
    seconds: float
    transactions: int = 0
    writers: int = 8
    steady_pollers: int = 2
    open_transactions: bool = True
    naive: bool = False
    folder: str

    def path(self, name: str) -> Path:
        """Return the path of a file in the run's folder."""
        return Path(self.folder, name)

    def flag(self, name: str) -> Flag:
        """Return a signal between processes that outlives ``kill -9``, as locks do not."""
        return Flag(self.path(f"{name}.flag"))


class Flag:
    """Up when its file exists."""

    def __init__(self, path: Path) -> None:
        self._path = path

    def up(self) -> None:
        """Signal."""
        self._path.touch()

    def is_up(self) -> bool:
        """Whether it was signalled."""
        return self._path.exists()

    def wait(self, seconds: float) -> bool:
        """Wait for the signal; return whether it came."""
        deadline = time.monotonic() + seconds
        while not self.is_up():
            if time.monotonic() > deadline:
                return False
            time.sleep(0.01)
        return True
