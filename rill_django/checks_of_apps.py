"""System check of where aggregates and projections are: in apps that are installed."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Any, NamedTuple

from django.apps import AppConfig, apps
from django.conf import settings
from django.core.checks import CheckMessage, Tags, Warning, register
from django.urls import get_resolver

from rill_django.domain.registry import current_registry
from rill_django.projections.registry import current_projections


class _Definition(NamedTuple):
    """A class that an app's module of a certain name has.

    Attributes:
        defined: the class.
        what: it is, in words.
        module: the name of such modules.
        is_named: whether its name does not follow from the module.
        effect: of being in no installed app.
        named: how a name is given.
    """

    defined: type
    what: str
    module: str
    is_named: bool
    effect: str
    named: str


_at_start: set[type] = set()
"""What is defined when Django has started: every process has it."""


def remember_definitions() -> None:
    """Take note of what is defined by now."""
    _at_start.update(one.defined for one in _definitions())


@register(Tags.urls)
def check_installed(app_configs: Sequence[AppConfig] | None, **_: Any) -> list[CheckMessage]:
    """``rill.W012``: a ``domain.py`` or ``projections.py`` is imported that is of no installed app."""
    if getattr(settings, "ROOT_URLCONF", None):
        get_resolver().url_patterns  # noqa: B018 - views import most of what a site uses
    return [
        Warning(
            f"{one.what} is defined in {one.defined.__module__}, and {app!r} is not in INSTALLED_APPS: "
            f"{one.effect}.",
            hint=f"Add {app!r} to INSTALLED_APPS. Or import the class in the {one.module}.py of an app that "
            f"is installed, and give it a name that stays: {one.named}",
            obj=one.defined,
            id="rill.W012",
        )
        for one in _definitions()
        if (app := _app_of(one)) and not (one.is_named and one.defined in _at_start)
    ]


def _definitions() -> Iterator[_Definition]:
    for name, aggregate in current_registry().aggregates.items():
        effect = (
            "processes that do not import it know nothing of its events, run_projections for one"
        )
        named = f"class {aggregate.__name__}(Aggregate, name={name!r})"
        what = f"The aggregate type {name}"
        yield _Definition(aggregate, what, "domain", aggregate.is_named(), effect, named)
    for projection in current_projections().named():
        cls, name = type(projection), projection.name
        effect, named = "run_projections does not find it", f"name = {name!r}"
        what = f"The projection {name}"
        yield _Definition(cls, what, "projections", cls.is_named(), effect, named)


def _app_of(one: _Definition) -> str | None:
    """Return the package that its module is in, if that is an app's, and of none that is installed."""
    parts = one.defined.__module__.split(".")
    if one.module not in parts[1:] or apps.get_containing_app_config(one.defined.__module__):
        return None
    return ".".join(parts[: len(parts) - 1 - parts[::-1].index(one.module)])
