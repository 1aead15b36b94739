"""Numbers and names as the front page shows them."""

from __future__ import annotations

from django import template
from django.utils.html import escape
from django.utils.safestring import SafeString

register = template.Library()

NOTHING = "–"


@register.filter
def thousands(number: int) -> str:
    """Return a whole number with commas: 18,262."""
    return f"{number:,}"


@register.filter
def flaps(number: int) -> list[list[str]]:
    """Return the digits of a number in groups of three, as a departure board shows them."""
    return [list(group) for group in f"{number:,}".split(",")]


@register.filter
def minutes(value: float | None) -> str:
    """Return a mean delay in minutes, with its sign: +12.4."""
    return NOTHING if value is None else f"{value:+.1f}".replace("-", "−")


@register.filter
def percent(part: float | None) -> str:
    """Return a part in percent: 87%."""
    return NOTHING if part is None else f"{part:.0%}"


@register.filter
def width(part: float | None) -> str:
    """Return a part as an SVG attribute wants it: 87.31%."""
    return f"{100 * (part or 0):.2f}%"


@register.filter
def last_part(name: str) -> str:
    """Return the last part of a dotted name: ``departed`` of ``flights.Flight.departed``."""
    return name.rpartition(".")[2]


@register.filter
def lateness(mean: float) -> str:
    """Return a mean delay in words: 12.4 minutes late."""
    return f"{abs(mean):.1f} minutes {'early' if mean < 0 else 'late'}"


@register.filter
def breakable(name: str) -> SafeString:
    """Return a name that may be broken behind its slashes and dots, where a phone is too narrow."""
    escaped = str(escape(name))
    for sign in "/.":
        escaped = escaped.replace(sign, f"{sign}<wbr>")
    return SafeString(escaped)
