"""Numbers in templates, whatever the project's localisation settings are."""

from __future__ import annotations

from django import template

register = template.Library()


@register.filter
def thousands(number: int) -> str:
    """Return a whole number with thin spaces between thousands."""
    return f"{number:,}".replace(",", "\N{NARROW NO-BREAK SPACE}")


@register.filter
def unlocalized(number: float) -> str:
    """Return a number as HTML attributes want it."""
    return f"{number:.4f}"
