"""A contestant's process: does what it is told in lines of JSON, and answers in kind.

Standard library only: it runs on the peers' interpreters, too.
"""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
from collections.abc import Mapping
from pathlib import Path
from types import TracebackType
from typing import Any

from benchmarks.environments import ROOT, python_for
from benchmarks.work import Work


class Driver:
    """Starts a contestant's process and talks to it."""

    def __init__(self, domain: str, name: str, database: Mapping[str, Any]) -> None:
        self.name = name
        self._process = subprocess.Popen(
            [python_for(name), "-m", "benchmarks.driver", domain, name, json.dumps(database)],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
            cwd=ROOT,
            env={**os.environ, "PYTHONPATH": os.pathsep.join(map(str, _search_path()))},
        )
        self._answer()

    def run(self, work: Work, column: str, size: int, tag: str) -> dict[str, Any]:
        """Have a work done, for a column of its line, and return the figures.

        Raises:
            RuntimeError: the contestant failed.
        """
        assert self._process.stdin
        self._process.stdin.write(json.dumps([work.name, column, size, tag]) + "\n")
        self._process.stdin.flush()
        return self._answer()

    def _answer(self) -> dict[str, Any]:
        assert self._process.stdout
        line = self._process.stdout.readline()
        answer: dict[str, Any] = json.loads(line) if line else {"error": "its process has ended"}
        if "error" in answer:
            raise RuntimeError(f"{self.name}: {answer['error']}")
        return answer

    def __enter__(self) -> Driver:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        assert self._process.stdin
        self._process.stdin.close()
        if error is not None:
            self._process.terminate()  # It may be in the middle of a long work.
        self._process.wait(30)


def _search_path() -> list[Path | str]:
    """Return where modules are looked for: ours, and what this process was given."""
    given = os.environ.get("PYTHONPATH", "")
    return [ROOT, *filter(None, given.split(os.pathsep))]


def main(domain: str, name: str, database: str) -> None:
    """Serve one contestant until nobody asks any more."""
    from benchmarks.contestants import contestant
    from benchmarks.works import WORKS

    # So that the processes that a work has started go, too.
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(128 + signal.SIGTERM))
    # What a library prints must not come between the answers.
    answers, sys.stdout = sys.stdout, sys.stderr

    def answer(figures: Mapping[str, Any]) -> None:
        answers.write(json.dumps(figures) + "\n")
        answers.flush()

    one = contestant(domain, name, json.loads(database))
    one.install()
    answer({"installed": True})
    for line in sys.stdin:
        work, column, size, tag = json.loads(line)
        try:
            answer(WORKS[work].task_for(column)(one, size, tag))
        except Exception as error:
            answer({"error": f"{work}: {type(error).__name__}: {error}"})
        finally:
            one.close()


if __name__ == "__main__":
    main(*sys.argv[1:])
