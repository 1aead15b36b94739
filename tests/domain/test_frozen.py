"""Containers that nobody can change, and read like those they stand for."""

import copy
import json
import pickle
from collections import deque
from dataclasses import dataclass, replace
from decimal import Decimal
from typing import NamedTuple

import msgspec
import pytest

from rill_django.domain.frozen import FrozenDict, FrozenList, FrozenSet, frozen, is_opaque


class Pair(NamedTuple):
    left: list[int]
    right: int = 0


class Line(msgspec.Struct, frozen=True):
    tags: list[str]


@dataclass(frozen=True)
class Place:
    names: dict[str, list[int]]


class Loose(msgspec.Struct):
    tags: list[str]


CHANGES = [
    ([3, 1], lambda it: it.append(2)),
    ([3, 1], lambda it: it.extend([2])),
    ([3, 1], lambda it: it.insert(0, 2)),
    ([3, 1], lambda it: it.remove(3)),
    ([3, 1], lambda it: it.pop()),
    ([3, 1], lambda it: it.clear()),
    ([3, 1], lambda it: it.sort()),
    ([3, 1], lambda it: it.reverse()),
    ([3, 1], lambda it: it.__setitem__(0, 2)),
    ([3, 1], lambda it: it.__setitem__(slice(None), [])),
    ([3, 1], lambda it: it.__delitem__(0)),
    ({"a": 1}, lambda it: it.update(b=1)),
    ({"a": 1}, lambda it: it.pop("a")),
    ({"a": 1}, lambda it: it.popitem()),
    ({"a": 1}, lambda it: it.clear()),
    ({"a": 1}, lambda it: it.setdefault("b", 1)),
    ({"a": 1}, lambda it: it.__setitem__("a", 2)),
    ({"a": 1}, lambda it: it.__delitem__("a")),
    ({1, 2}, lambda it: it.add(3)),
    ({1, 2}, lambda it: it.discard(1)),
    ({1, 2}, lambda it: it.remove(1)),
    ({1, 2}, lambda it: it.pop()),
    ({1, 2}, lambda it: it.clear()),
    ({1, 2}, lambda it: it.update([3])),
    ({1, 2}, lambda it: it.difference_update([1])),
    ({1, 2}, lambda it: it.intersection_update([1])),
    ({1, 2}, lambda it: it.symmetric_difference_update([1])),
]


@pytest.mark.parametrize(("value", "change"), CHANGES)
def test_every_way_to_change_one_is_refused(value, change):
    it = frozen(value)
    before = copy.copy(value)
    with pytest.raises(TypeError, match=f"This {type(value).__name__} belongs to an event"):
        change(it)
    assert it == before
    change(value)  # A plain one can be changed so.


def test_all_methods_that_change_are_known():
    """Of a later Python, too: whatever a plain one has beyond its unchangeable relative changes it."""
    for kind, like in ((FrozenList, tuple), (FrozenSet, frozenset)):
        base = kind.__mro__[1]
        changing = {name for name in set(dir(base)) - set(dir(like)) if name[:2] != "__"} - {"copy"}
        assert changing <= set(vars(kind)), kind
    reading = {"copy", "fromkeys", "get", "items", "keys", "values"}
    assert {name for name in dir(dict) if name[:2] != "__"} - reading <= set(vars(FrozenDict))


@pytest.mark.parametrize("value", [[3, 1], {"a": 1}, {1, 2}, frozenset([1, 2])])
def test_they_read_and_compare_like_plain_ones(value):
    it = frozen(value)
    assert isinstance(it, type(value))
    assert it == value
    assert value == it
    assert list(it) == list(value) or sorted(it) == sorted(value)
    assert len(it) == len(value)
    assert type(it.copy()) in (type(value), type(it))
    assert msgspec.json.decode(msgspec.json.encode(it), type=type(value)) == value
    if not isinstance(value, (set, frozenset)):
        assert json.loads(json.dumps(it)) == value
        assert repr(it) == repr(value)


def test_new_ones_made_of_them_are_plain():
    goods, seats, tags = frozen(["a"]), frozen({"1A": "ann"}), frozen({"x"})
    for new in (goods.__add__(["b"]), [*goods], goods[:], goods * 2, goods.copy(), list(goods)):
        assert type(new) is list
        new.append("c")
    for new in (seats | {"1B": "bob"}, {**seats}, seats.copy(), dict(seats)):
        assert type(new) is dict
        new["1C"] = "eve"
    for new in (tags | {"y"}, tags & {"x"}, tags - {"y"}, tags ^ {"y"}, set(tags)):
        assert type(new) is set
        new.add("z")
    assert (goods, seats, tags) == (["a"], {"1A": "ann"}, {"x"})


def test_operators_in_place_make_a_new_one_as_those_of_tuples_do():
    goods = before = frozen(["a"])
    goods += ("b",)
    assert (goods, before) == (["a", "b"], ["a"])
    goods = before
    goods *= 2
    assert (goods, before) == (["a", "a"], ["a"])
    seats = before = frozen({"a": 1})
    seats |= {"b": 2}
    assert (seats, before) == ({"a": 1, "b": 2}, {"a": 1})
    tags = before = frozen({1, 2})
    tags |= {3}
    tags &= {2, 3}
    tags -= {3}
    tags ^= {5}
    assert (tags, before) == ({2, 5}, {1, 2})


@pytest.mark.parametrize(
    "clone", [copy.copy, copy.deepcopy, lambda it: pickle.loads(pickle.dumps(it))]
)
@pytest.mark.parametrize("value", [[[1], {"a": [1]}], {"a": [1]}, {1, 2}, frozenset([1, 2])])
def test_a_copy_of_one_is_another_frozen_one(clone, value):
    it = frozen(value, ordered=True)
    again = clone(it)
    assert again == value
    assert type(again) is type(it)


def test_what_is_inside_is_frozen_too():
    deep = {"a": [{"b": [1]}], "t": ([1], {"c": {2}})}
    for inside in (
        frozen(deep)["a"][0]["b"],
        frozen(deep)["t"][0],
        frozen(deep)["t"][1]["c"],
        frozen(Line(["a"])).tags,
        frozen(Place({"a": [1]})).names["a"],
        frozen(Pair([1])).left,
        frozen([Line(["a"])])[0].tags,
    ):
        assert type(inside) in (FrozenList, FrozenSet)
    assert isinstance(frozen(Pair([1])), Pair)


def test_nothing_that_was_given_is_changed():
    line, place, plain = Line(["a"]), Place({"a": [1]}), [[1]]
    frozen([line, place, plain])
    assert [type(one) for one in (line.tags, place.names, plain[0])] == [list, dict, list]


def test_what_has_nothing_to_freeze_stays_the_same_object():
    for value in (
        1,
        "a",
        Decimal(1),
        (1, "a"),
        Line(FrozenList(["a"])),
        frozen([1]),
        frozenset(),
    ):
        assert frozen(value) is value


def test_the_order_of_keys_is_that_of_every_database_and_of_sets_one():
    assert list(frozen({"bb": 1, "é": 2, "c": 3, "a": 4}, ordered=True)) == ["a", "c", "bb", "é"]
    assert list(frozen({10: 1, 9: 2}, ordered=True)) == [9, 10]
    assert list(frozen({"b", "a", "zz"})) == ["a", "b", "zz"]
    with pytest.raises(ValueError, match="two keys of an object are the same in JSON"):
        frozen({1: "a", "1": "b"}, ordered=True)


class TestWhatNobodyKnowsHowToFreeze:
    @pytest.mark.parametrize("value", [deque([1]), Loose(["a"]), bytearray(b"a"), object()])
    def test_is_known_to_be_so_wherever_it_is(self, value):
        for holder in (value, [value], {"a": value}, (value,), Pair(value), Line(value)):
            assert is_opaque(frozen(holder))

    def test_is_nothing_else(self):
        for value in ([1], {"a": [1]}, {1}, (1, [2]), Line(["a"]), Place({}), Pair([1]), None):
            assert not is_opaque(frozen(value))
            assert not is_opaque(frozen([value]))

    def test_stays_as_it_is(self):
        loose = Loose(["a"])
        assert frozen(loose) is loose
        assert frozen([loose])[0] is loose
        assert replace(frozen(Place({"a": [1]})), names={}) == Place({})
