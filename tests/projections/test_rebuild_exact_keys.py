"""Whether streams can be shares: only if no two of them are the same row."""

from datetime import date
from enum import Enum
from types import SimpleNamespace
from typing import Annotated, NewType
from uuid import UUID

import pytest
from django.apps import apps
from django.db import connection, models

from rill_django import Aggregate, Meta, RowProjection, event, key, on
from rill_django.domain.registry import current_registry, isolated_registry
from rill_django.projections.rebuild import rebuild
from rill_django.projections.rebuilding.dialects import place_for
from rill_django.projections.rebuilding.exact_keys import keeps_keys_apart
from rill_django.projections.rebuilding.shares import has_rows_by_stream
from rill_django.projections.rebuilding.steps import Rebuild
from rill_django.projections.rebuilding.together import build_share
from rill_django.projections.worker import catch_up
from rill_django.testing import isolated_projections
from tests.bank.domain import Account
from tests.bank.models import Balance, Branch, Card
from tests.projections.rebuilds import named


class Colour(Enum):
    RED = "red"
    BLUE = "blue"


class Level(Enum):
    LOW = 1
    HIGH = 2


Number = NewType("Number", str)


class OwnText(models.CharField):
    """Might do anything."""


TEXT = models.CharField(max_length=50)


@pytest.mark.parametrize(
    ("kind", "field", "is_kept_apart"),
    [
        (str, TEXT, True),
        (Number, TEXT, True),
        (Annotated[str, Meta(max_length=9)], TEXT, True),
        (Annotated[str, Meta(max_length=9, description="with more to tell")], TEXT, True),
        (str, models.TextField(), True),
        (str, models.EmailField(), True),
        (int, TEXT, True),
        (UUID, TEXT, True),
        (date, TEXT, True),
        (Colour, TEXT, True),
        (int, models.IntegerField(), True),
        (int, models.BigIntegerField(), True),
        (Level, models.PositiveSmallIntegerField(), True),
        (date, models.DateField(), True),
        (UUID, models.UUIDField(), True),
        (str, models.UUIDField(), False),
        (str, models.CharField(max_length=50, db_collation="C"), False),
        (str, OwnText(max_length=50), False),
        (str, models.IntegerField(), False),
        (str, models.DateField(), False),
        (str, models.DecimalField(max_digits=9, decimal_places=2), False),
        (int, models.BooleanField(), False),
        (int, models.FloatField(), False),
        (date, models.DateTimeField(), False),
        (Level, models.DateField(), False),
        (Colour, models.UUIDField(), False),
        (str, models.ForeignKey(Balance, on_delete=models.DO_NOTHING), True),
        (int, models.ForeignKey(Branch, on_delete=models.DO_NOTHING), False),
    ],
)
def test_types_of_keys_and_of_fields(kind, field, is_kept_apart):
    with isolated_registry():

        class Thing(Aggregate, name="tests.Thing"):
            number: kind = key()

            @event
            def happened(self) -> "Thing": ...

    meta = SimpleNamespace(get_field={"number": field}.__getitem__)
    model = SimpleNamespace(_meta=meta)
    assert keeps_keys_apart(model, ("number",), Thing.happened) is is_kept_apart


def test_a_foreign_key_is_of_the_kind_that_it_refers_to():
    with isolated_registry():

        class Swipe(Aggregate, name="tests.Swipe"):
            account: str = key()
            number: str = key()

            @event
            def happened(self) -> "Swipe": ...

    assert keeps_keys_apart(Card, ("account", "number"), Swipe.happened)


def test_a_field_that_the_model_does_not_have():
    assert not keeps_keys_apart(Branch, ("number",), Account.opened)


def test_a_handler_that_names_the_fields_in_another_order():
    with isolated_registry(), isolated_projections():

        class Pair(Aggregate, name="tests.Pair"):
            branch: str = key()
            owner: str = key()

            @event
            def joined(self) -> "Pair": ...

            @event
            def left(self) -> "Pair": ...

        class Same(RowProjection):
            model = Branch
            key = ("branch", "owner")

            @on(Pair.joined)
            def joined(self, row, event): ...

            @on(Pair.left, key=("branch", "owner"))
            def left(self, row, event): ...

        class Turned(Same):
            @on(Pair.left, key=("owner", "branch"))
            def left(self, row, event): ...

        assert "tests.Pair.left" in current_registry().events
        assert has_rows_by_stream(Same())
        assert not has_rows_by_stream(Turned())


@pytest.fixture
def ids():
    class Ids(models.Model):
        number = models.UUIDField(primary_key=True)
        times = models.IntegerField(default=0)

        class Meta:
            app_label = "bank"

        def __str__(self):
            return str(self.number)

    with connection.schema_editor() as editor:
        editor.create_model(Ids)
    yield Ids
    with connection.schema_editor() as editor:
        editor.delete_model(Ids)
    apps.all_models["bank"].pop("ids")
    apps.clear_cache()


@pytest.mark.django_db(transaction=True)
@pytest.mark.skipif(
    "connection.vendor != 'postgresql'", reason="Only PostgreSQL has tables beside that others see"
)
def test_two_streams_of_one_row_are_in_one_share(ids):
    with isolated_projections():

        class Rows(RowProjection):
            model = ids
            key = "number"
            partitions = 2

            @on(Account.opened)
            def opened(self, row, event):
                row.times += 1

        for number in range(20):
            text = str(UUID(int=number + (0xABCDEF << 100)))
            Account.open.transact(text, "x").unwrap()
            Account.open.transact(text.upper(), "x").unwrap()
        catch_up()
        assert set(ids.objects.values_list("times", flat=True)) == {2}
        projection = named(Rows.name)
        with Rebuild(place_for(projection, "beside")) as steps:
            steps.share_out(3)
            for number in range(3):
                build_share(
                    projection, (number, 3), batch_size=5, progress=lambda *_: None, stop=_Never()
                )
        rebuild(projection)
        assert set(ids.objects.values_list("times", flat=True)) == {2}


class _Never:
    def is_set(self):
        return False
