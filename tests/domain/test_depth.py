"""Messages are nested no deeper than every database's JSON can be; it is told when they are made."""

from typing import Any

import msgspec
import pytest

from rill_django import Aggregate, InvalidMessage, event, key
from rill_django.domain.json_texts import MOST_LEVELS
from rill_django.domain.kinds import Kind
from rill_django.domain.registry import isolated_registry


class Tree(msgspec.Struct, frozen=True):
    """A value that has others of its kind in it."""

    inside: "list[Tree]" = []


class Leaf(msgspec.Struct, frozen=True):
    """A value that ends."""

    texts: list[dict[str, str]] = []


def nested(levels: int) -> list[Any]:
    found: list[Any] = []
    for _ in range(levels - 1):
        found = [found]
    return found


def tree(levels: int) -> Tree:
    found = Tree()
    for _ in range(levels // 2 - 1):
        found = Tree([found])
    return found


@pytest.fixture
def grown():
    with isolated_registry():

        class Plant(Aggregate, name="tests.Plant"):
            id: str = key()

            @event
            def grew(self, to: Any = None, like: Tree | None = None) -> None:
                """It grew."""

        yield Plant.grew


def test_so_many_levels_are_kept(grown):
    assert grown.message("1", to=nested(MOST_LEVELS - 1)).to == nested(MOST_LEVELS - 1)
    assert grown.message("1", like=tree(MOST_LEVELS - 1)).like == tree(MOST_LEVELS - 1)


@pytest.mark.parametrize(
    ("field", "value"), [("to", nested(MOST_LEVELS)), ("like", tree(MOST_LEVELS + 1))]
)
@pytest.mark.parametrize("way", ["message", "apply", "dict", "json"])
def test_one_more_is_refused_when_the_message_is_made(grown, field, value, way):
    plain = msgspec.to_builtins({"id": "1", field: value})
    ways = {
        "message": lambda: grown.message("1", **{field: value}),
        "apply": lambda: grown.aggregate("1").grew(**{field: value}),
        "dict": lambda: grown.from_dict(plain),
        "json": lambda: grown.from_json(msgspec.json.encode(plain)),
    }
    with pytest.raises(InvalidMessage, match=f"at most {MOST_LEVELS} objects and lists") as caught:
        ways[way]()
    assert caught.value.field == field


def test_only_what_may_be_deep_is_measured():
    assert Kind(str, "it", "here").levels == 0
    assert Kind(list[str] | None, "it", "here").levels == 1
    assert Kind(Leaf, "it", "here").levels == 3
    for kind in (Any, list[Any], Tree, dict[str, Tree | None]):
        assert Kind(kind, "it", "here").levels == MOST_LEVELS
