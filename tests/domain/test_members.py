"""Members of an aggregate's class that a newcomer writes, and what it says."""

from functools import cached_property

import pytest
from django.db import models

from rill_django import Aggregate, DefinitionError, command, ensure, event, key, require

HERE = f"{__name__}.Thing"


def define(**members):
    """Make an aggregate of these members, whose annotations stand beside them."""
    annotations = {name: one[0] for name, one in members.items() if isinstance(one, tuple)}
    values = {name: one[1] if isinstance(one, tuple) else one for name, one in members.items()}
    namespace = {"__module__": __name__, "__qualname__": "Thing", "__annotations__": annotations}
    return type(Aggregate)("Thing", (Aggregate,), namespace | values)


def said(**members):
    with pytest.raises(DefinitionError) as refused:
        define(**members)
    return str(refused.value)


@event
def happened(self, amount: int):
    pass


NUMBER = (str, key())


def test_a_key_without_its_parentheses():
    assert said(id=NUMBER, number=(str, key)) == (
        f"{HERE}: 'number' is no key property yet. Write: number: … = key()"
    )


def test_a_field_of_a_django_model():
    assert said(number=NUMBER, owner=(str, models.CharField(max_length=9))) == (
        f"{HERE}: field 'owner' is a field of a Django model. An aggregate's have a plain type and default, "
        "e.g. owner: str = ''; models belong to projections."
    )


def test_a_method_of_structs():
    assert said(number=NUMBER, __init__=lambda self: None) == (
        f"{HERE}: Struct types cannot define __init__. An aggregate is made of its key properties; all else "
        "follows from its events."
    )


@pytest.mark.parametrize("mark", [property, staticmethod, classmethod, cached_property])
@pytest.mark.parametrize("kind", [event, command])
def test_an_event_or_command_under_another_decorator(mark, kind):
    assert said(number=NUMBER, acted=mark(kind(happened.function))) == (
        f"{HERE}.acted: @{mark.__name__} hides the event or command that it stands on. Take it away: both "
        "are called on an aggregate, like plain methods."
    )


@pytest.mark.parametrize("mark", [require, ensure])
@pytest.mark.parametrize("kind", [event, command])
def test_a_condition_that_takes_other_arguments(mark, kind):
    def acted(self, amount: int, note: str = ""):
        return self

    assert said(number=NUMBER, acted=kind(mark(lambda self, amount: True, "always")(acted))) == (
        f"{HERE}.acted: the condition 'always' takes (self, amount), and is given the aggregate and every "
        "field. Write: lambda self, amount, note: …"
    )


def test_a_condition_that_takes_all():
    def acted(self, amount: int):
        return self

    for condition in (lambda *args: True, lambda self, amount, more=1: True, max):
        marked = require(condition, "always")(acted)
    assert define(number=NUMBER, acted=event(marked))("1")
