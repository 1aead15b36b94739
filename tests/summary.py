"""What came of the runs: one table, one closing line, one exit code."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

NO_TESTS_COLLECTED = 5  # pytest's exit code


@dataclass(frozen=True)
class Outcome:
    """One run of the suite."""

    database: str
    passed: int = 0
    failed: int = 0
    skipped: int = 0
    seconds: float = 0.0
    broken: str = ""  # why the run says nothing about the tests that it did not reach

    @classmethod
    def of_run(
        cls, database: str, counts: Mapping[str, int] | None, exit_code: int, seconds: float
    ) -> Outcome:
        """The outcome of a pytest that left ``counts``, or None because it died before.

        A failure of a fixture counts as a failure, an expected failure as skipped. A run that
        ended badly for another reason than a failed test counts as one failure itself, so that
        it can never pass for a good one.
        """
        counts = counts or {}
        failed = counts.get("failed", 0) + counts.get("error", 0)
        broken = ""
        if exit_code not in (0, NO_TESTS_COLLECTED) and not failed:
            broken = f"pytest ended with exit code {exit_code}"
            failed = 1
        return cls(
            database,
            passed=counts.get("passed", 0) + counts.get("xpassed", 0),
            failed=failed,
            skipped=counts.get("skipped", 0) + counts.get("xfailed", 0),
            seconds=seconds,
            broken=broken,
        )

    @classmethod
    def without_server(cls, database: str, reason: str) -> Outcome:
        return cls(database, failed=1, broken=reason)


def table(outcomes: Sequence[Outcome]) -> str:
    width = max(len("database"), *(len(outcome.database) for outcome in outcomes))
    lines = [f"{'database':{width}}  {'passed':>7}  {'failed':>7}  {'skipped':>7}  {'seconds':>7}"]
    lines += [
        f"{o.database:{width}}  {o.passed:>7}  {o.failed:>7}  {o.skipped:>7}  {o.seconds:>7.1f}"
        for o in outcomes
    ]
    return "\n".join(lines)


def closing_line(outcomes: Sequence[Outcome]) -> str:
    passed, failed, skipped = (
        sum(getattr(outcome, kind) for outcome in outcomes)
        for kind in ("passed", "failed", "skipped")
    )
    return f"{passed} passed, {failed} failed, {skipped} skipped"


def exit_code(outcomes: Sequence[Outcome]) -> int:
    """Zero if nothing failed and at least one test was run."""
    if any(outcome.failed for outcome in outcomes):
        return 1
    return 0 if any(outcome.passed for outcome in outcomes) else NO_TESTS_COLLECTED
