"""Whether values of one annotated type may be taken for another, as far as that can be known at run time."""

from __future__ import annotations

import types
from typing import Annotated, Any, Union, get_args, get_origin


def cannot_be(given: Any, wanted: Any) -> bool:
    """Whether some values of the type ``given`` are surely no values of ``wanted``; in doubt, they may be."""
    givens, wanteds = _classes(given), _classes(wanted)
    if givens is None or wanteds is None:
        return False
    return not all(any(_is_taken(one, other) for other in wanteds) for one in givens)


def _classes(annotation: Any) -> tuple[type, ...] | None:
    """Return the classes that values may have; ``None``: not known."""
    if annotation is Any:  # A class, too, from Python 3.11 on.
        return None
    if annotation is None:
        return (type(None),)
    if hasattr(annotation, "__supertype__"):
        return _classes(annotation.__supertype__)
    origin = get_origin(annotation)
    if origin is Annotated:
        return _classes(get_args(annotation)[0])
    if origin in (Union, types.UnionType):
        found = [_classes(one) for one in get_args(annotation)]
        known = [one for one in found if one is not None]
        return sum(known, ()) if len(known) == len(found) else None
    one = origin or annotation
    return (one,) if isinstance(one, type) else None


def _is_taken(given: type, wanted: type) -> bool:
    # As PEP 484 has it: where a float is asked for, an int will do.
    if wanted is float and given is int:
        return True
    try:
        return issubclass(given, wanted)
    except TypeError:  # A protocol, maybe.
        return True
