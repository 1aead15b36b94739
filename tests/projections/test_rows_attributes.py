"""What handlers do to a row besides setting its fields: it works, or it is an error."""

from functools import partial

import pytest
from django.db.models.signals import post_init

from rill_django import DELETE, RowProjection, on
from rill_django.projections.handler_results import WrongResult
from rill_django.projections.projection import HandlerFailed
from rill_django.projections.routing import RowIsNotStored
from rill_django.projections.rows.changes import KeyChanged, NoSuchField
from rill_django.projections.rows.related import OtherRowChanged
from rill_django.projections.worker import catch_up
from rill_django.testing import isolated_projections
from tests.bank.domain import Account
from tests.bank.models import Balance, Card, Holder, Parcel, Sample, Seat
from tests.projections.test_rows_buffer import do, projection_of

pytestmark = pytest.mark.django_db


def setting(name, value=1):
    return lambda row: setattr(row, name, value)


def nothing(row):
    pass


def refused(projection, *events):
    with pytest.raises(HandlerFailed) as caught:
        projection.apply(events)
    return caught.value.__cause__


@pytest.mark.parametrize("is_new", [True, False])
@pytest.mark.parametrize(
    ("model", "name", "meant"),
    [
        (Balance, "ownr", "owner"),
        (Balance, "balanse", "balance"),
        (Balance, "id", None),
        (Card, "acount_id", "account_id"),
        (Card, "acount", "account"),
        (Sample, "flagg", "flag"),
        (Holder, "alas", "alias"),  # With a generated field, which a new row lacks.
        (Parcel, "weigth", "weight"),
    ],
)
def test_a_slip_of_the_pen(model, name, meant, is_new):
    projection = projection_of(model)
    if not is_new:
        projection.apply([do("1", setting("account_id", "1") if model is Card else nothing)])
    error = refused(projection, do("1", setting(name)))
    assert isinstance(error, NoSuchField)
    assert f"has set {name} on a row of bank.{model.__name__}" in str(error)
    if meant:
        assert str(error).endswith(f"Did you mean {meant}?")
    else:
        assert "It has balance, movements, number, owner." in str(error)


def test_also_beside_what_is_right():
    def slip(row):
        row.owner = "Ann"
        row.ownr = "Ann"

    assert isinstance(refused(projection_of(Balance), do("1", slip)), NoSuchField)


def test_it_stops_the_projection_at_that_event():
    with isolated_projections():

        class Slips(RowProjection):
            model = Balance
            key = "number"

            @on(Account.opened)
            def opened(self, row, event):
                row.owner = event.owner

            @on(Account.deposited)
            def deposited(self, row, event):
                row.ballance = event.amount

        Account.open.transact("1", owner="Ann").unwrap()
        Account.deposit.transact("1", amount=1).unwrap()
        with pytest.raises(
            Exception, match=r"Account/1@1.*has set ballance.*Did you mean balance\?"
        ):
            catch_up()
    assert Balance.objects.get().owner == "Ann"


def everything(row):
    row._note = "mine"
    row.grams = 5000
    assert row.label == f"{row.number}: {row.weight}"
    row.kind = "letter"
    row.inside_id = "2"
    row.pk = row.number


def test_properties_notes_and_class_attributes_are_no_slips():
    projection = projection_of(Parcel)
    seen = []

    def look(row):
        seen.append((row.kind, row.label, hasattr(row, "_note"), "label" in vars(row)))
        row.inside = Parcel(number="3")

    projection.apply([do("1", everything), do("1", everything), do("1", look)])
    projection.apply([do("1", look), do("1", everything)])
    row = Parcel.objects.get()
    assert (row.weight, row.inside_id) == (5, "2")
    assert seen == [("parcel", "1: 5", False, True)] * 2


def test_nor_is_what_others_set_when_an_instance_is_made():
    def remember(instance, **_):
        instance.weight_before = instance.weight
        if instance.weight > 1:
            instance.is_heavy = True

    def heavier(row):
        row.weight += 1
        row.weight_before = None

    post_init.connect(remember, sender=Parcel)
    try:
        projection = projection_of(Parcel)
        projection.apply([do("1", heavier) for _ in range(4)])
        assert isinstance(refused(projection, do("1", setting("is_havy"))), NoSuchField)
        assert isinstance(refused(projection, do("2", setting("is_heavy"))), NoSuchField)
    finally:
        post_init.disconnect(remember, sender=Parcel)
    assert Parcel.objects.get().weight == 4


@pytest.mark.parametrize("is_new", [True, False])
@pytest.mark.parametrize("model", [Balance, Holder, Parcel])
@pytest.mark.parametrize("name", ["save", "delete", "refresh_from_db", "save_base"])
@pytest.mark.parametrize("options", [{}, {"using": "default"}])
def test_a_row_is_stored_by_its_projection_alone(model, name, options, is_new):
    projection = projection_of(model)
    if not is_new:
        projection.apply([do("1")])

    def act(row):
        assert getattr(row, name)(**options) is not row

    # With the database named, and where rows refer to each other, nobody is asked: then it is harmless.
    is_asked = not options and model is not Parcel
    if is_new or is_asked or name == "delete":
        error = refused(projection, do("1", act))
        assert isinstance(error, (RowIsNotStored, KeyChanged, ValueError, model.DoesNotExist))
        assert isinstance(error, RowIsNotStored) or is_new or not is_asked
    else:
        projection.apply([do("1", act)])
        assert model.objects.count() == 1


def test_a_row_may_be_checked_by_itself():
    projection = projection_of(Balance)

    def check(row):
        row.owner = "Ann"
        row.clean_fields()
        row.clean()

    projection.apply([do("1", check)])
    error = refused(projection, do("1", lambda row: row.full_clean()))
    assert isinstance(error, RowIsNotStored)
    assert "clean_fields() and clean()" in str(error)


def card_of(action):
    Balance.objects.create(number="a", owner="Ann")
    projection = projection_of(Card)
    projection.apply([do("1", setting("account_id", "a")), do("2", setting("account_id", "b"))])
    return projection, do("1", action)


def set_related(row):
    row.account.owner = "Bob"


def set_assigned(row):
    row.account = Balance.objects.get(number="a")
    row.account.balance += 1


@pytest.mark.parametrize("action", [set_related, set_assigned])
def test_a_change_of_another_row_would_be_lost(action):
    projection, event = card_of(action)
    error = refused(projection, event)
    assert isinstance(error, OtherRowChanged)
    assert "of bank.Balance, to which its row refers by account" in str(error)


def test_to_look_at_another_row_or_refer_to_it_is_no_change():
    def look(row):
        seen.append(row.account.owner)
        row.account.owner = str(row.account.owner)
        row.account._note = 1

    def refer(row):
        row.account = Balance(number="c")

    seen = []
    projection, event = card_of(look)
    projection.apply([event, do("2", refer), event, do("3", refer), do("2", nothing)])
    Balance.objects.update(owner="Bob")
    projection.apply([event, event])
    assert seen == ["Ann", "Ann", "Bob", "Bob"]
    found = Card.objects.order_by("number").values_list("number", "account_id")
    assert list(found) == [("1", "a"), ("2", "c"), ("3", "c")]


def test_the_error_says_what_to_do():
    error = refused(projection_of(Balance), do("1", lambda row: row.save()))
    assert "return DELETE" in str(error)
    assert "bank.Balance" in str(error)


def test_other_instances_of_the_model_are_not_meant():
    def look(row):
        other = Balance.objects.get(number="1")
        other.refresh_from_db()
        row.owner = other.owner

    projection = projection_of(Balance)
    projection.apply([do("1", setting("owner", "Ann")), do("2", look)])
    assert Balance.objects.get(number="2").owner == "Ann"


def test_a_row_may_look_at_another_one_of_its_model():
    projection = projection_of(Parcel)
    projection.apply([do("1", setting("weight", 7)), do("2", setting("inside_id", "1"))])

    def look(row):
        row.weight = row.inside.weight

    projection.apply([do("2", look)])
    assert Parcel.objects.get(number="2").weight == 7


@pytest.mark.parametrize(
    "result",
    [0, False, "", [], True, Balance(), DELETE.__class__, (row for row in ()), NotImplemented],
)
def test_another_result_than_nothing_or_delete(result):
    error = refused(projection_of(Balance), do("1", lambda row: result))
    assert isinstance(error, WrongResult)
    assert "Doing.done" in str(error)


def test_a_coroutine_is_refused_without_a_warning():
    async def later():
        raise AssertionError

    error = refused(projection_of(Balance), do("1", lambda row: later()))
    assert isinstance(error, WrongResult)
    assert "nobody runs" in str(error)


@pytest.mark.parametrize(
    ("model", "change"),
    [
        (Sample, lambda row: row.data.update(a=1)),
        (Sample, lambda row: row.data.setdefault("list", []).append(1)),
        (Sample, lambda row: row.data.setdefault("deep", {}).setdefault("x", []).append({"y": 1})),
    ],
)
def test_changes_inside_a_value_are_stored_wherever_batches_end(model, change):
    action = partial(lambda change, row: change(row) and None, change)
    together = projection_of(model)
    together.apply([do("1", action), do("1", action), do("1", action)])
    apart = projection_of(model)
    for _ in range(3):
        apart.apply([do("2", action)])
    first, second = (model.objects.get(number=number) for number in "12")
    assert first.data == second.data != {}


def test_composite_keys_are_set_as_a_whole():
    projection = projection_of(Seat, key_of_rows=("card", "row"))
    projection.apply([do("1", setting("taken", 3), card="c", row=2)])
    error = refused(projection, do("1", setting("pk", ("c", 3)), card="c", row=2))
    assert isinstance(error, KeyChanged)
    projection.apply([do("1", setting("pk", ("c", 2)), card="c", row=2)])
    assert Seat.objects.get().taken == 3
