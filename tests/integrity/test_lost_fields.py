"""Fields that stored events have and no code knows: a renamed one with a default lost its value silently."""

import json
from dataclasses import dataclass
from typing import Any

import msgspec
import pytest
from typing_extensions import TypedDict

from rill_django import Aggregate, RawEvent, event, key, upcast
from rill_django.integrity.contents import ContentCheck
from rill_django.integrity.findings import Findings, LostField, Verdict
from rill_django.testing import isolated_registry
from tests.integrity.test_contents import stored


class Colour(msgspec.Struct, frozen=True):
    name: str = ""


class Part(msgspec.Struct, frozen=True, omit_defaults=True, rename="camel", tag_field="kind"):
    part_number: int = 0
    colour: Colour = Colour()


class Circle(msgspec.Struct, frozen=True, tag=True):
    radius: int = 0


class Square(msgspec.Struct, frozen=True, tag=True):
    side: int = 0


class Size(TypedDict, total=False):
    width: int


@dataclass(frozen=True)
class Place:
    street: str = ""


@pytest.fixture(autouse=True)
def registry():
    with isolated_registry() as registry:

        class Cart(Aggregate, name="shop.Cart"):
            number: str = key()
            ignores = ("shop.Cart.filled.wrapping",)

            @event
            def filled(
                self,
                owner: str = "nobody",
                parts: list[Part] | None = None,
                colours: set[Colour] | None = None,
                places: dict[int, Place] | None = None,
                shape: Circle | Square | None = None,
                size: Size | None = None,
                anything: Any = None,
            ):
                pass

        yield registry


def lost(registry, *payloads, type="shop.Cart.filled"):
    findings = Findings()
    events = [
        stored(position, "shop.Cart/1", json.dumps({"number": "1", **data}).encode(), type=type)
        for position, data in enumerate(payloads, 1)
    ]
    ContentCheck(registry, findings).check(events)
    return findings


def fields(findings):
    return {field: found.count for (_type, field), found in findings.lost_fields.items()}


def test_a_renamed_field_with_a_default_is_told_with_its_number_the_first_and_the_cure(registry):
    findings = lost(registry, {"owner": "Ann"}, {"holder": "Ann"}, {"holder": "Bob"})
    assert findings.verdict is Verdict.UNREADABLE
    assert findings.damage == {}
    (found,) = findings.lost_in_order()
    assert found.to_dict() == {
        "type": "shop.Cart.filled",
        "field": "holder",
        "count": 2,
        "first": "position 2, shop.Cart/1@1",
        "cure": found.cure,
    }
    for cure in (
        "@upcast('shop.Cart.filled')",
        "ignores = ('shop.Cart.filled.holder',)",
        "RILL['UNKNOWN_EVENTS']",
    ):
        assert cure in found.cure


@pytest.mark.parametrize(
    ("data", "expected"),
    [
        ({"parts": [{"partNumber": 1}, {"partNumber": 2, "weight": 3}]}, {"parts.weight"}),
        ({"parts": [{"part_number": 1}]}, {"parts.part_number"}),
        ({"parts": [{"colour": {"name": "red", "shade": 1}}]}, {"parts.colour.shade"}),
        ({"colours": [{"name": "a"}, {"name": "b", "shade": 1}]}, {"colours.shade"}),
        ({"places": {"7": {"street": "x"}, "8": {"road": "y"}}}, {"places.road"}),
        ({"shape": {"type": "Circle", "radius": 1, "side": 2}}, {"shape.side"}),
        ({"shape": {"type": "Square", "side": 2}}, set()),
        ({"size": {"width": 1, "depth": 2}}, {"size.depth"}),
        ({"wrapping": "gift"}, set()),
        ({"anything": {"what": [{"ever": 1}]}}, set()),
        ({"parts": [{"kind": "Part"}], "colours": [], "places": {}}, set()),
        ({"parts": [{}], "colours": [{}], "places": {"1": {}}}, set()),
        ({"one": 1, "two": 2}, {"one", "two"}),
    ],
)
def test_fields_are_looked_for_where_values_are_typed(registry, data, expected):
    assert fields(lost(registry, data)).keys() == expected


@pytest.mark.parametrize(
    "named", ["ignore", ["shop.Cart.filled.holder"], ["shop.Cart.filled"], ["shop.Cart"]]
)
def test_a_field_that_somebody_has_said_to_leave_out_is_no_finding(registry, settings, named):
    settings.RILL = {"UNKNOWN_EVENTS": named}
    assert lost(registry, {"holder": "Ann"}).is_whole


def test_a_field_that_an_upcaster_renames_or_drops_is_no_finding(registry):
    @upcast("shop.Cart.filled")
    def renamed(raw: RawEvent):
        if "holder" in raw.data:
            return raw.with_data(owner=raw.data["holder"]).without("holder")
        return [raw.without("gone"), raw.with_data(made_up=1)]

    assert lost(registry, {"holder": "Ann"}).is_whole
    assert fields(lost(registry, {"gone": 1}, {"other": 1})) == {
        "made_up": 2,
        "gone": 1,
        "other": 2,
    }


def test_what_no_code_knows_at_all_has_no_fields_to_lose(registry):
    assert not lost(registry, {"a": 1}, type="shop.Cart.gone").lost_fields


def test_findings_of_parts_add_up():
    late, early = Findings(), Findings()
    late.note_lost_field(LostField("a.b", "c", 2, (70, "position 70")))
    early.note_lost_field(LostField("a.b", "c", 1, (7, "position 7")))
    late.add(early)
    assert late.lost_in_order() == [LostField("a.b", "c", 3, (7, "position 7"))]


def test_there_is_a_limit_to_what_is_told_one_by_one(monkeypatch):
    monkeypatch.setattr("rill_django.integrity.findings.TYPES_AT_MOST", 2)
    findings = Findings()
    for number in range(5):
        findings.note_lost_field(LostField("a.b", f"c{number}", 1, (number, "x")))
    assert [(one.type, one.count) for one in findings.lost_in_order()] == [
        ("(others)", 3),
        ("a.b", 1),
        ("a.b", 1),
    ]
