"""What clients give beside the body: parameters of the query, and headers."""

from __future__ import annotations

from rest_framework.request import Request

from rill_django.domain.storable import Unstorable, text

_MOST_DIGITS = 19
_MOST_VALUES = 1_000


class BadParameter(ValueError):
    """A parameter of the query, or a header, has a value that it must not have.

    Attributes:
        field: name of the parameter or header.
        reason: what was expected, and what was found.
    """

    def __init__(self, field: str, reason: str) -> None:
        self.field = field
        self.reason = reason
        super().__init__(f"{field} {reason}")


def whole_number(
    request: Request, name: str, default: int, *, least: int = 0, most: int | None = None
) -> int:
    """Return a parameter of the query.

    Raises:
        BadParameter: not a whole number, out of bounds, or there more than once.
    """
    given = request.query_params.getlist(name)
    if not given:
        return default
    if len(given) > 1:
        raise BadParameter(name, f"must be there once, and is {len(given)} times")
    found = given[0]
    bounds = f"from {least}" if most is None else f"from {least} to {most}"
    # Python takes digits of all scripts, and reckons with thousands of them.
    is_number = found.isascii() and found.isdecimal() and len(found) <= _MOST_DIGITS
    if not is_number or not least <= int(found) <= (most or 2**63 - 1):
        raise BadParameter(name, f"must be a whole number {bounds}, got {shown(found)}")
    return int(found)


def texts(request: Request, name: str) -> list[str]:
    """Return a parameter of the query that may be there more than once.

    Raises:
        BadParameter: no database keeps such a text, or there are too many.
    """
    given: list[str] = request.query_params.getlist(name)
    if len(given) > _MOST_VALUES:
        raise BadParameter(name, f"must be there at most {_MOST_VALUES:,} times")
    for one in given:
        try:
            text(one)
        except Unstorable as error:
            raise BadParameter(name, f"must be a name; {shown(one)} {_told(error)}") from None
    return given


def one_text(request: Request, name: str) -> str | None:
    """Return a parameter of the query.

    Raises:
        BadParameter: no database keeps such a text, or it is there more than once.
    """
    given = texts(request, name)
    if len(given) > 1:
        raise BadParameter(name, f"must be there once, and is {len(given)} times")
    return given[0] if given else None


def shown(given: str) -> str:
    """Return what a client has sent as it can be told in an error."""
    return repr(given if len(given) <= 50 else f"{given[:50]}…")


def _told(error: Unstorable) -> str:
    said = str(error)
    return said if said.startswith("is ") else f"is none: {said}"
