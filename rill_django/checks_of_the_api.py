"""System check of what the API needs from the project."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from importlib.util import find_spec
from typing import Any

from django.apps import AppConfig, apps
from django.conf import settings
from django.core.checks import CheckMessage, Error, Tags, register
from django.urls import URLPattern, URLResolver, get_resolver


@register(Tags.urls)
def check_rest_framework(app_configs: Sequence[AppConfig] | None, **_: Any) -> list[CheckMessage]:
    """``rill.E017``: the API's URLs are there, and the app that has its pages is not."""
    if apps.is_installed("rest_framework") or not getattr(settings, "ROOT_URLCONF", None):
        return []
    if find_spec("rest_framework") is None:
        return []  # Nobody can include the URLs: `rill_django.api` says so.
    from rill_django.api.base import RillView

    for view in _views(get_resolver().url_patterns):
        if isinstance(view, type) and issubclass(view, RillView):
            return [
                Error(
                    "The URLs include rill_django.api, and 'rest_framework' is not in INSTALLED_APPS: "
                    "a browser gets an error 500 from the API, since its pages have no templates.",
                    hint="Add 'rest_framework' to INSTALLED_APPS.",
                    id="rill.E017",
                )
            ]
    return []


def _views(patterns: Iterable[URLPattern | URLResolver]) -> Iterator[Any]:
    for one in patterns:
        if isinstance(one, URLResolver):
            yield from _views(one.url_patterns)
        else:
            yield getattr(one.callback, "cls", None)
