"""Methods as people write them, and what a class that is made of them has to refuse."""

from __future__ import annotations

import inspect
import re
from collections.abc import Callable
from typing import Any, get_args

from .errors import DefinitionError
from .parameters import resolve, signature_of

_MAY_BE_NOTHING = re.compile(r"\b(None|NoneType|Optional|Any|object)\b")


def refuse_what_never_runs(function: Callable[..., Any], what: str) -> None:
    """Raise `DefinitionError` for a method that calling does not run.

    Args:
        what: what it is marked with, e.g. ``@command``.
    """
    kind = ""
    if inspect.iscoroutinefunction(function) or inspect.isasyncgenfunction(function):
        kind = "async"
    elif inspect.isgeneratorfunction(function):
        kind = "a generator"
    if kind:
        name = getattr(function, "__qualname__", repr(function))
        raise DefinitionError(
            f"{what}: {name} is {kind}, so that calling it would not run it. Make it a plain method, which "
            "does its work at once."
        )


def promise_of(function: Callable[..., Any], owner: type) -> str:
    """Return the annotation of what a method returns, if that is never ``None``; otherwise nothing."""
    annotation = signature_of(function).return_annotation
    if annotation is inspect.Signature.empty:
        return ""
    text = getattr(annotation, "__forward_arg__", annotation)
    text = text if isinstance(text, str) else inspect.formatannotation(text)
    try:
        kind = resolve(annotation, function.__globals__, owner, "")
    except DefinitionError:  # Imported for type checkers only.
        kind = None
    if type(None) in get_args(kind) or _MAY_BE_NOTHING.search(text):
        return ""
    return str(text)
