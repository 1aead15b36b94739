"""What came of a work: speeds, or figures with a limit."""

from __future__ import annotations

from dataclasses import asdict, dataclass, field
from typing import Any

from benchmarks.work import BANK

US = "rill"


@dataclass
class Line:
    """One work on one database: speeds by column, and what became of the bars.

    A column is a contestant, or something that we ourselves do otherwise.
    """

    database: str
    work: str
    title: str
    unit: str
    speeds: dict[str, float]
    lost: dict[str, int] = field(default_factory=dict)
    bars: dict[str, float] = field(default_factory=dict)
    domain: str = BANK
    done: dict[str, int] = field(default_factory=dict)
    """Events, commands or loads in a round."""

    def ratio(self, column: str, of: str = US) -> float:
        """Return how many times as fast we are."""
        return self.speeds[of] / self.speeds[column]

    def is_reached(self, column: str) -> bool:
        """Whether the bar to a column is."""
        return self.ratio(column) >= self.bars[column]

    def as_dict(self) -> dict[str, Any]:
        """Return it with the ratios, for JSON."""
        ratios = {one: round(self.ratio(one), 3) for one in self.speeds if one != US}
        return {**asdict(self), "ratios": ratios}


@dataclass
class Limited:
    """One work on one database whose figures must not be more than something."""

    database: str
    work: str
    title: str
    unit: str
    figures: dict[str, float]
    bars: dict[str, float]
    domain: str = BANK

    def is_reached(self, name: str) -> bool:
        """Whether the limit of a figure is kept."""
        return self.figures[name] <= self.bars[name]

    def as_dict(self) -> dict[str, Any]:
        """Return it for JSON."""
        return asdict(self)
