"""Who may use the API: the classes that ``RILL["API_PERMISSIONS"]`` names."""

from __future__ import annotations

from functools import lru_cache
from typing import Any

from django.core.exceptions import ImproperlyConfigured
from django.core.signals import setting_changed
from django.utils.module_loading import import_string
from rest_framework.permissions import BasePermission, OperandHolder

from rill_django.conf import configuration


@lru_cache(maxsize=1)
def permission_classes() -> tuple[Any, ...]:
    """Return what makes the permissions, one object for each request.

    Raises:
        ImproperlyConfigured: there are none, or a name is none of a permission class. The API is closed to
            everybody, then.
    """
    names = configuration().api_permissions
    if not names:
        raise ImproperlyConfigured(
            "settings.RILL['API_PERMISSIONS'] is empty, which would open the log to everybody. If you want "
            "that, say so: ['rest_framework.permissions.AllowAny']"
        )
    return tuple(_permission_class(name) for name in names)


def _permission_class(name: str) -> Any:
    try:
        found = import_string(name)
    except Exception as error:  # Whatever its module may raise.
        raise ImproperlyConfigured(
            f"settings.RILL['API_PERMISSIONS'] names {name!r}, which cannot be imported: {error}"
        ) from error
    is_class = isinstance(found, type) and issubclass(found, BasePermission)
    if not is_class and not isinstance(found, OperandHolder):
        raise ImproperlyConfigured(
            f"settings.RILL['API_PERMISSIONS'] names {name!r}, which is no permission class of "
            "Django REST framework."
        )
    return found


def _reset(*, setting: str, **_: Any) -> None:
    if setting == "RILL":
        permission_classes.cache_clear()


setting_changed.connect(_reset, dispatch_uid="rill_django.api.permissions")
