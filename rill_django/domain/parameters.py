"""The parameters of event and command methods: what messages are made of."""

from __future__ import annotations

import inspect
import sys
from collections.abc import Callable, Mapping
from typing import Any, NamedTuple

import msgspec

from .errors import DefinitionError


class Parameter(NamedTuple):
    """One field of a message: its name, type, and default (``msgspec.NODEFAULT``: required)."""

    name: str
    annotation: Any
    default: Any = msgspec.NODEFAULT


def parameters_of(function: Callable[..., Any], owner: type, where: str) -> tuple[Parameter, ...]:
    """Return the parameters of an event or command method, ``self`` left out.

    Raises:
        DefinitionError: a parameter has no annotation, an unreadable one, a mutable default, or
            is of a kind that a message cannot have.
    """
    found = []
    parameters = list(signature_of(function).parameters.values())
    if not parameters:
        raise DefinitionError(f"{where} takes no self. Write: def {function.__name__}(self, …)")
    for parameter in parameters[1:]:
        member = f"{where}: parameter {parameter.name!r}"
        if parameter.kind not in (parameter.POSITIONAL_OR_KEYWORD, parameter.KEYWORD_ONLY):
            raise DefinitionError(
                f"{member} is of a kind that a message cannot have. "
                "Write every field out as a parameter of its own."
            )
        if parameter.annotation is parameter.empty:
            raise DefinitionError(
                f"{member} has no type. Write one, e.g. {parameter.name}: str, "
                "since messages are checked and stored by it."
            )
        default = msgspec.NODEFAULT if parameter.default is parameter.empty else parameter.default
        if isinstance(default, (list, dict, set, bytearray)):
            raise DefinitionError(
                f"{member} has a mutable default, {default!r}. Use an immutable one, e.g. () or None."
            )
        annotation = resolve(parameter.annotation, function.__globals__, owner, member)
        found.append(Parameter(parameter.name, annotation, default))
    return tuple(found)


def signature_of(function: Callable[..., Any], *, follow_wrapped: bool = True) -> inspect.Signature:
    """Return a method's signature, its annotations unevaluated where that cannot be done yet."""
    if sys.version_info >= (3, 14):
        # Annotations are evaluated late there, and the class that they name may not be bound yet.
        from annotationlib import Format

        return inspect.signature(
            function, follow_wrapped=follow_wrapped, annotation_format=Format.FORWARDREF
        )
    return inspect.signature(function, follow_wrapped=follow_wrapped)


def resolve(annotation: Any, namespace: Mapping[str, Any], owner: type, where: str) -> Any:
    """Return the type that an annotation, maybe written as a string, stands for."""
    text = getattr(annotation, "__forward_arg__", annotation)
    if not isinstance(text, str):
        return annotation
    try:
        return eval(text, dict(namespace), {**vars(owner), owner.__name__: owner})
    except Exception as error:
        raise DefinitionError(
            f"{where} has the type {text!r}, which cannot be found ({error}). "
            "Import or define it above the class, at the module's top level."
        ) from error
