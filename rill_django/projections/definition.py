"""What a projection's class is refused for, in words."""

from __future__ import annotations

import inspect
from collections.abc import Callable
from typing import Any

from django.db.models import Model

from rill_django.domain.errors import DefinitionError


def is_model(value: object) -> bool:
    """Whether a value is the class of a model."""
    return isinstance(value, type) and issubclass(value, Model)


def refuse_other_models(models: Any, where: str) -> None:
    """Raise `DefinitionError` for ``models`` of a projection that are not the classes of some."""
    if isinstance(models, type) or not all(map(is_model, models)):
        raise DefinitionError(
            f"{where}: models takes the classes of models, got {models!r}. Write: models = (Balance,)"
        )


def refuse_other_arguments(handler: Callable[..., Any], given: tuple[str, ...], where: str) -> None:
    """Raise `DefinitionError` for a handler that cannot be called with what it is given.

    Args:
        handler: a function whose first argument is the projection.
        given: names of what comes next.
        where: the projection's full name.
    """
    try:
        signature = inspect.signature(handler)
    except (TypeError, ValueError):  # Nobody can tell.
        return
    try:
        signature.bind(None, *given)
    except TypeError:
        name = getattr(handler, "__name__", repr(handler))
        wanted = ", ".join(("self", *given))
        raise DefinitionError(
            f"{where}: the handler {name} takes {signature}, and is called with the "
            f"{' and the '.join(given)}. Write: def {name}({wanted})"
        ) from None
