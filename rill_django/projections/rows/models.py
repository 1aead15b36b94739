"""The model of a `RowProjection`: ``RowProjection[Balance]``, or ``model = Balance``, or both."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any, get_args, get_origin

from django.db import models
from typing_extensions import TypeVar

from rill_django.domain.annotations import cannot_be
from rill_django.domain.errors import DefinitionError
from rill_django.domain.payload_arguments import annotation_of, signature_given
from rill_django.projections.definition import is_model

Row = TypeVar("Row", bound=models.Model, default=Any)


def model_of(cls: type, root: type) -> Any:
    """Return the model of a projection, or ``None`` if it has none yet.

    Args:
        cls: a subclass of the generic class.
        root: the generic class.

    Raises:
        DefinitionError: it says two different ones, or something else than a model.
    """
    where = f"{cls.__module__}.{cls.__qualname__}"
    written = getattr(cls, "model", None)
    argument = _argument(cls, root)
    if argument is None or isinstance(argument, TypeVar) or argument is Any:
        return written
    if not is_model(argument):
        raise DefinitionError(
            f"{where}: RowProjection[…] takes the class of a model, e.g. RowProjection[Balance]; got "
            f"{argument!r}."
        )
    if written is None:
        return None if argument._meta.abstract else argument
    if is_model(written) and not issubclass(written, argument):
        raise DefinitionError(
            f"{where} is a RowProjection[{argument.__name__}], and says model = {written.__name__}. Take one "
            "of them out."
        )
    return written


def _argument(cls: type, root: type) -> Any:
    """Return what stands in the brackets of the generic class, for this class; ``None``: nothing."""
    for base in vars(cls).get("__orig_bases__", cls.__bases__):
        origin = get_origin(base) or base
        if not issubclass(origin, root):
            continue
        given = get_args(base)
        if origin is root:
            found = given[0] if given else None
        else:
            found = _argument(origin, root)
            if isinstance(found, TypeVar):
                place = origin.__parameters__.index(found)
                found = given[place] if given else None
        if found is not None:
            return found
    return None


def refuse_other_rows(
    model: type[models.Model], handlers: Mapping[str, Callable[..., Any]], where: str
) -> None:
    """Raise `DefinitionError` for a handler whose row is annotated as one of another model."""
    for handler in handlers.values():
        signature = signature_given(handler)
        parameters = [] if signature is None else [*signature.parameters.values()]
        if len(parameters) < 2:
            continue
        annotation = annotation_of(parameters[1], handler)
        if cannot_be(model, annotation):
            raise DefinitionError(
                f"{where}: the handler {handler.__name__} takes a row of "
                f"{getattr(annotation, '__name__', annotation)}; its rows are of {model.__name__}."
            )
