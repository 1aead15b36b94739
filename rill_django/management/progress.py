"""How long work shows itself: a bar on a terminal, a line every few seconds elsewhere."""

from __future__ import annotations

import time
from types import TracebackType
from typing import NoReturn

from django.core.management.base import OutputWrapper
from tqdm import tqdm
from typing_extensions import Self

LINE_EVERY_SECONDS = 5.0


class Progress:
    """A context manager that is told how far the work has come.

    Args:
        output: of the management command.
        title: what is being done.
        unit: what is counted, in the plural.
        total: how many there are, if that is known.
    """

    def __init__(
        self, output: OutputWrapper, title: str, unit: str, total: int | None = None
    ) -> None:
        self._output = output
        self._title = title
        self._unit = unit
        self._total = total
        self._bar: tqdm[NoReturn] | None = None
        self._done = 0
        self._started = self._said = time.monotonic()

    def __enter__(self) -> Self:
        if self._output.isatty():
            self._bar = tqdm(
                total=self._total,
                desc=self._title,
                unit=f" {self._unit}",
                # Django's wrapper ends every write with a new line; a bar is drawn over itself.
                file=getattr(self._output, "_out", self._output),
                dynamic_ncols=True,
                smoothing=0.1,
            )
        return self

    def advance_to(self, done: int, total: int | None = None) -> None:
        """Show that so many are done, of a total that may have grown meanwhile."""
        step, self._done = done - self._done, done
        self._total = total if total is not None else self._total
        now = time.monotonic()
        if self._bar is not None:
            self._bar.total = self._total
            self._bar.update(step)
        elif now - self._said >= LINE_EVERY_SECONDS:
            self._said = now
            self._output.write(self._line())

    def _line(self) -> str:
        seconds = max(time.monotonic() - self._started, 1e-6)
        of_total = "" if self._total is None else f" of {self._total:,}"
        return (
            f"{self._title}: {self._done:,}{of_total} {self._unit}, {self._done / seconds:,.0f}/s"
        )

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        if self._bar is not None:
            self._bar.close()
        elif kind is None:
            self._output.write(self._line())
