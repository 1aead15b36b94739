"""Comparing nested results by the parts that matter. Source: Rill/Wheel's ``sub?``."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import Any, NamedTuple

_MISSING = object()


class Mismatch(NamedTuple):
    """Where and how a value differs from what was expected."""

    path: str
    expected: Any
    actual: Any

    def __str__(self) -> str:
        found = "nothing" if self.actual is _MISSING else repr(self.actual)
        return f"at {self.path or 'the top'}: expected {self.expected!r}, found {found}"


def matches(actual: Any, expected: Any) -> bool:
    """Whether ``actual`` has everything that ``expected`` has; it may have more.

    In ``expected``: a dict is compared with the keys of a mapping or the attributes of an object, by the
    names it has; a list or tuple element by element, where a last ``...`` stands for any more; a
    class with the value's type; ``...`` with anything; all else by equality. Nests::

        matches(result, {"reason": "insufficient-funds", "data": {"available": Decimal}})
    """
    return next(_mismatches(actual, expected, ""), None) is None


def assert_matches(actual: Any, expected: Any) -> None:
    """Raise an AssertionError that lists every mismatch. See `matches`."""
    __tracebackhide__ = True
    found = [str(mismatch) for mismatch in _mismatches(actual, expected, "")]
    if found:
        raise AssertionError("\n".join((f"{actual!r} does not match:", *found)))


def _mismatches(actual: Any, expected: Any, path: str) -> Iterator[Mismatch]:
    if expected is ...:
        return
    if isinstance(expected, type):
        if not isinstance(actual, expected):
            yield Mismatch(path, expected, actual)
    elif isinstance(expected, Mapping):
        for name, value in expected.items():
            found = (
                actual.get(name, _MISSING)
                if isinstance(actual, Mapping)
                else getattr(actual, str(name), _MISSING)
            )
            where = f"{path}.{name}".lstrip(".")
            if found is _MISSING:
                yield Mismatch(where, value, _MISSING)
            else:
                yield from _mismatches(found, value, where)
    elif isinstance(expected, (list, tuple)):
        yield from _sequence_mismatches(actual, expected, path)
    elif actual != expected:
        yield Mismatch(path, expected, actual)


def _sequence_mismatches(actual: Any, expected: Sequence[Any], path: str) -> Iterator[Mismatch]:
    is_open = bool(expected) and expected[-1] is ...
    wanted = expected[:-1] if is_open else expected
    if not isinstance(actual, (list, tuple)) or len(actual) < len(wanted):
        yield Mismatch(path, expected, actual)
        return
    if len(actual) > len(wanted) and not is_open:
        yield Mismatch(path, expected, actual)
    for index, value in enumerate(wanted):
        yield from _mismatches(actual[index], value, f"{path}[{index}]")
