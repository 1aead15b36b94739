"""Emptying a projection's tables: its own rows go, and nobody else's."""

import pytest
from django.db import IntegrityError, connection, models, transaction
from django.db.models.signals import post_delete
from django.test.utils import isolate_apps

from rill_django import Projection, on
from rill_django.projections.rebuild import rebuild
from rill_django.projections.worker import catch_up
from rill_django.testing import isolated_projections
from tests.bank.domain import Account
from tests.bank.models import Card, Customer, Holding
from tests.projections.rebuilds import append_history

pytestmark = pytest.mark.django_db(transaction=True)


class Row(models.Model):
    """What the models of these tests have in common."""

    class Meta:
        abstract = True
        app_label = "bank"

    def __str__(self):
        return str(self.pk)


class Tables:
    """Models of a projection and of others, with tables that last as long as the test."""

    def __init__(self):
        self.made = []

    def make(self, *made):
        with connection.schema_editor() as editor:
            for model in made:
                editor.create_model(model)
        self.made += made

    def drop(self):
        with connection.constraint_checks_disabled(), connection.schema_editor() as editor:
            for model in reversed(self.made):
                editor.delete_model(model)


@pytest.fixture
def tables():
    found = Tables()
    with isolate_apps("tests.bank"), isolated_projections():
        try:
            yield found
        finally:
            found.drop()


def projection_of(*own):
    class Own(Projection):
        models = own

    return Own()


def test_rows_of_other_models_stay_though_they_would_go_by_the_orm(tables):
    class Town(Row):
        pass

    class Note(Row):
        """Of another app, kept loosely to a row of the projection's."""

        town = models.ForeignKey(Town, models.CASCADE, db_constraint=False)

    tables.make(Town, Note)
    town = Town.objects.create()
    note = Note.objects.create(town=town)
    projection_of(Town).clear()
    assert not Town.objects.exists()
    assert list(Note.objects.values_list("pk", "town_id")) == [(note.pk, town.pk)]


def test_all_tables_of_the_projection_are_emptied_whatever_the_order(tables):
    class Tag(Row):
        pass

    class Town(Row):
        tags = models.ManyToManyField(Tag)

    class Street(Row):
        town = models.ForeignKey(Town, models.PROTECT)

    class HighStreet(Street):
        class Meta(Row.Meta):
            proxy = True

    tables.make(Tag, Town, Street)
    town = Town.objects.create()
    town.tags.add(Tag.objects.create(), Tag.objects.create())
    Street.objects.create(town=town)
    # PROTECT is the ORM's word about single deletions; here both go.
    projection_of(Tag, Town, HighStreet).clear()
    for model in (Tag, Town, Town.tags.through, Street):
        assert not model.objects.exists(), model
    connection.check_constraints()


def test_rows_go_that_a_manager_does_not_show(tables):
    class Shown(models.Manager):
        def get_queryset(self):
            return super().get_queryset().filter(is_shown=True)

    class Town(Row):
        is_shown = models.BooleanField()
        everything = models.Manager()
        objects = Shown()

        class Meta(Row.Meta):
            base_manager_name = "objects"

    tables.make(Town)
    Town.everything.create(is_shown=False)
    projection_of(Town).clear()
    assert not Town.everything.exists()


def test_rows_may_refer_to_each_other(tables):
    class Person(Row):
        chief = models.ForeignKey("self", models.CASCADE, null=True)
        home = models.ForeignKey("House", models.CASCADE, null=True)

    class House(Row):
        owner = models.ForeignKey(Person, models.CASCADE, null=True)

    tables.make(Person, House)
    ann = Person.objects.create()
    bob = Person.objects.create(chief=ann)
    Person.objects.filter(pk=ann.pk).update(chief=bob)
    house = House.objects.create(owner=ann)
    Person.objects.update(home=house)
    projection_of(Person, House).clear()
    assert not Person.objects.exists()
    assert not House.objects.exists()
    connection.check_constraints()


def test_the_part_of_a_row_that_is_in_the_table_of_an_unlisted_parent_goes_too(tables):
    class Place(Row):
        pass

    class Shop(Place):
        pass

    class Bakery(Shop):
        pass

    tables.make(Place, Shop, Bakery)
    other = Place.objects.create()
    shop = Shop.objects.create()
    Bakery.objects.create()
    projection_of(Bakery).clear()
    assert set(Place.objects.values_list("pk", flat=True)) == {other.pk, shop.pk}
    assert list(Shop.objects.values_list("pk", flat=True)) == [shop.pk]
    projection_of(Shop).clear()
    assert list(Place.objects.values_list("pk", flat=True)) == [other.pk]


def test_no_signal_is_sent():
    def received(**_):
        raise AssertionError("a signal was sent")

    Card.objects.create(number="1", account_id="nobody")
    post_delete.connect(received, sender=Card)
    try:
        projection_of(Card).clear()
    finally:
        post_delete.disconnect(received, sender=Card)
    assert not Card.objects.exists()


@pytest.fixture
def customers():
    """A projection of `Customer` alone; `Holding`, with its foreign key, is another app's."""
    with isolated_projections():

        class Customers(Projection):
            models = (Customer,)

            @on(Account.opened)
            def opened(self, event):
                Customer.objects.get_or_create(pk=int(event.number) + 1, name=event.number)

        append_history(2, 0)
        catch_up()
        yield Customers()


def test_what_the_database_holds_on_to_is_an_error_not_a_loss(customers):
    Holding.objects.create(customer_id=1, number="1")
    with pytest.raises(IntegrityError), transaction.atomic():
        customers.clear()
    assert Holding.objects.get().customer_id == 1
    assert Customer.objects.count() == 2


def test_a_rebuild_in_place_that_makes_the_same_keys_again_disturbs_nobody(customers):
    Holding.objects.create(customer_id=1, number="1")
    if connection.features.can_defer_constraint_checks:
        rebuild(customers, in_place=True)
    else:  # MySQL looks at once.
        with pytest.raises(IntegrityError):
            rebuild(customers, in_place=True)
    connection.check_constraints()
    assert Holding.objects.get().customer_id == 1
    assert set(Customer.objects.values_list("pk", flat=True)) == {1, 2}


def test_a_rebuild_in_place_that_makes_other_keys_is_an_error_and_changes_nothing(customers):
    Holding.objects.create(customer_id=1, number="1")

    def opened(self, event):
        Customer.objects.get_or_create(pk=int(event.number) + 100, name=event.number)

    type(customers).handlers = {"bank.Account.opened": opened}
    with pytest.raises(IntegrityError):
        rebuild(customers, in_place=True)
    assert Holding.objects.get().customer_id == 1
    assert set(Customer.objects.values_list("pk", flat=True)) == {1, 2}
