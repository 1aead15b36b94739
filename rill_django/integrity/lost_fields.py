"""Values in the log that today's code reads past: fields that the types of their events do not have.

A field that was renamed, and whose new name has a default, loses what is stored under the old one, and nobody
is told: an event that has more fields than its type is read all the same.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Iterator, Mapping
from typing import Any

import msgspec

from rill_django.domain.frozen import ATOMS
from rill_django.domain.left_out import is_passed_over
from rill_django.domain.messages import EventMessage
from rill_django.domain.registry import Registry


def lost_fields(data: Mapping[str, Any], message: EventMessage) -> set[str]:
    """Return the fields that a payload has and the message made of it does not, e.g. ``lines.colour``.

    Args:
        data: the payload as plain JSON values, as upcasters have left it.
        message: what was made of it.
    """
    names = _names_of(type(message)) or {}
    lost = data.keys() - names.keys()
    for (
        name,
        attribute,
    ) in names.items():  # Whole logs come by here, and most values have no inside.
        value = getattr(message, attribute)
        if type(value) not in ATOMS and name in data:
            lost.update(_lost(data[name], value, f"{name}."))
    return lost


def is_field_passed_over(type: str, category: str, field: str, registry: Registry) -> bool:
    """Whether somebody has said that no code has to know a field of an event type."""
    name = f"{type}.{field}"
    aggregate = registry.aggregates.get(category)
    if aggregate is not None and name in aggregate.ignored_types():
        return True
    return is_passed_over(category, type) or is_passed_over(category, name)


def cure_of_lost_field(type: str, field: str) -> str:
    """Return, in words, what to do about a field that no code knows."""
    return (
        f"If {field!r} was renamed, write an @upcast({type!r}) that gives its value the new name. If it is "
        "to be left out, write one that drops it, or name it in its aggregate, "
        f"ignores = ('{type}.{field}',), or in RILL['UNKNOWN_EVENTS']."
    )


def _lost(data: Any, value: Any, path: str) -> Iterator[str]:
    if type(value) in ATOMS:
        return
    if isinstance(data, dict):
        is_mapping = isinstance(value, Mapping)
        parts = _by_key(value) if is_mapping else _by_name(value)
        if parts is None:  # Somebody's own type, which says nothing about its fields.
            return
        for name, inner in data.items():
            if name not in parts:
                yield f"{path}{name}"
            else:
                yield from _lost(inner, parts[name], path if is_mapping else f"{path}{name}.")
    elif isinstance(data, list):
        if isinstance(value, (list, tuple)):
            for item, inner in zip(data, value):  # noqa: B905 - a struct may take fewer
                yield from _lost(item, inner, path)
        elif isinstance(value, (set, frozenset)):
            yield from _lost_in_set(data, value, path)


def _lost_in_set(data: list[Any], value: Any, path: str) -> Iterator[str]:
    """Look at the items all together: in the set they have another order."""
    known = {name for one in value for name in _names_of(type(one)) or ()}
    if known:
        for item in data:
            yield from (f"{path}{name}" for name in item.keys() - known)


def _by_key(value: Mapping[Any, Any]) -> dict[str, Any]:
    if all(type(key) is str for key in value):
        return dict(value)
    return {_plain_key(key): inner for key, inner in value.items()}


def _by_name(value: object) -> dict[str, Any] | None:
    """Return the values of a struct or a dataclass by their names in JSON; ``None``: it is neither."""
    names = _names_of(type(value))
    if names is None:
        return None
    found: dict[str, Any] = {name: getattr(value, attribute) for name, attribute in names.items()}
    config = getattr(value, "__struct_config__", None)
    if config is not None and config.tag_field is not None:
        found[config.tag_field] = config.tag
    return found


_known_names: dict[type, Mapping[str, str] | None] = {}


def _names_of(kind: type) -> Mapping[str, str] | None:
    """Return the attributes of a struct or a dataclass by their names in JSON; ``None``: it is neither."""
    if kind not in _known_names:
        names: Mapping[str, str] | None = None
        if issubclass(kind, msgspec.Struct):
            attributes = kind.__struct_fields__
            names = dict(zip(kind.__struct_encode_fields__, attributes, strict=True))
        elif dataclasses.is_dataclass(kind):
            names = {field.name: field.name for field in dataclasses.fields(kind)}
        elif hasattr(kind, "__attrs_attrs__"):
            names = {field.name: field.name for field in kind.__attrs_attrs__}
        _known_names[kind] = names
    return _known_names[kind]


def _plain_key(key: Any) -> str:
    (plain,) = msgspec.to_builtins({key: None}, str_keys=True)
    return str(plain)
