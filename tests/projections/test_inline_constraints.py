"""Constraints of inline projections: a command that would violate one is rejected."""

import pytest
from django.contrib.admin.models import LogEntry
from django.contrib.auth.models import User
from django.db import IntegrityError, connection, models, transaction

from rill_django import Ok, Rejected, RejectedError, commit, commit_all, transact
from rill_django.dispatch import Dispatcher
from rill_django.domain.runtime import use
from rill_django.models import Event
from rill_django.projections.inline.commits import InlineProjections
from rill_django.projections.inline.messages import Kind, Told, told_by
from rill_django.projections.inline.violations import Violation
from rill_django.projections.projection import HandlerFailed
from rill_django.repository import CachingRepository, Repository
from rill_django.store.orm import DjangoEventStore
from tests.bank.domain import Account
from tests.bank.models import AuditLine, Balance, Customer, Holder
from tests.projections.inline_bank import customers, lines, owners, projections

pytestmark = pytest.mark.django_db


@pytest.fixture(params=[Repository, CachingRepository])
def runtime(request):
    store = DjangoEventStore()
    with use(Dispatcher(request.param(store, inline=InlineProjections(store)))) as dispatcher:
        yield dispatcher


def nothing_happened_to(number, version=-1):
    assert DjangoEventStore().version(f"bank.Account/{number}") == version
    assert Account.get(number).version == version


def test_a_unique_constraint_rejects(runtime):
    with projections(owners):
        assert isinstance(Account.open.transact("1", "Ann"), Ok)
        rejected = Account.open.transact("2", "Ann")
        assert isinstance(rejected, Rejected)
        assert rejected.reason == "bank-holder-alias"
        assert rejected.data == {
            "constraint": "bank_holder_alias",
            "model": "bank.Holder",
            "fields": ["group", "alias"],
            "projection": "projections.Owners",
        }
        assert rejected.aggregate == Account("2")
        nothing_happened_to("2")
        # The next command finds everything in order.
        assert isinstance(Account.open.transact("2", "Bob"), Ok)


def test_the_aggregate_is_the_one_from_before(runtime):
    with projections(owners):
        Account.open.transact("1", "Ann").unwrap()
        Account.open.transact("2", "Bob").unwrap()
        Account.close.transact("2").unwrap()
        before = Account.get("2")
        rejected = Account.open.transact("2", "Ann")
        assert rejected.aggregate == before
        assert rejected.aggregate.version == 1
        assert not rejected.aggregate.uncommitted
        nothing_happened_to("2", 1)
        with transaction.atomic():
            rejected = commit(Account.get("2").deposited(5).opened("Ann"))
            assert rejected.aggregate == before
            # The caller's transaction can go on.
            assert Holder.objects.count() == 1
            assert isinstance(Account.open.transact("2", "Cid"), Ok)
        assert Holder.objects.get(number="2").alias == "Cid"


@pytest.mark.parametrize(
    ("rejections", "reason"),
    [
        ({}, "bank-holder-alias"),
        ({"bank_holder_alias": "owner-taken"}, "owner-taken"),
        ({("group", "alias"): "name-taken"}, "name-taken"),
    ],
)
def test_the_reason_of_a_constraint(rejections, reason):
    with projections(owners, rejections=rejections):
        Account.open.transact("1", "Ann").unwrap()
        assert Account.open.transact("2", "Ann").reason == reason


@pytest.mark.parametrize(
    ("rejections", "reason"), [({}, "name-taken"), ({"name": "customer-known"}, "customer-known")]
)
def test_a_unique_field_rejects(runtime, rejections, reason):
    with projections(customers, rejections=rejections):
        Account.open.transact("1", "Ann").unwrap()
        rejected = Account.open.transact("2", "Ann")
        assert rejected.reason == reason
        assert (rejected.data["model"], rejected.data["fields"]) == ("bank.Customer", ["name"])
        nothing_happened_to("2")


def test_a_primary_key_rejects():
    def same_number(event):
        Balance.objects.create(number="one", owner=event.owner)

    def maker():
        made = lines(same_number)
        made.models = (AuditLine, Customer, Balance)

    with projections(maker):
        Account.open.transact("1", "Ann").unwrap()
        rejected = Account.open.transact("2", "Bob")
        assert rejected.reason == "number-taken"
        assert rejected.data["model"] == "bank.Balance"


def test_a_check_constraint_rejects(runtime):
    with projections(customers):
        Account.open.transact("1", "Ann").unwrap()
        commit(Account.get("1").deposited(Customer.objects.get().pk)).unwrap()
        rejected = Account.withdraw.transact("1", 1)
        assert rejected.reason == "bank-holding-positive"
        assert rejected.data["model"] == "bank.Holding"
        nothing_happened_to("1", 1)


@pytest.mark.parametrize(
    ("rejections", "reason"),
    [({}, "no-such-customer"), ({"customer": "unknown-customer"}, "unknown-customer")],
)
@pytest.mark.parametrize("is_inside", [False, True])
def test_a_foreign_key_rejects_at_once(runtime, rejections, reason, is_inside):
    with projections(customers, rejections=rejections):
        Account.open.transact("1", "Ann").unwrap()
        with transaction.atomic() if is_inside else use(runtime):
            rejected = Account.deposit.transact("1", 10_000_000)
            assert isinstance(rejected, Rejected)
            assert rejected.reason == reason
            assert (rejected.data["model"], rejected.data["fields"]) == (
                "bank.Holding",
                ["customer"],
            )
            nothing_happened_to("1", 0)
            assert isinstance(Account.deposit.transact("1", Customer.objects.get().pk), Ok)
        connection.check_constraints()


@pytest.mark.skipif("connection.vendor == 'mysql'", reason="MySQL checks everything at once")
def test_what_the_caller_has_still_to_mend_is_left_alone():
    with projections(customers), transaction.atomic():
        LogEntry.objects.create(user_id=77, action_flag=1)
        Account.open.transact("1", "Ann").unwrap()
        assert Account.deposit.transact("1", 10_000_000).reason == "no-such-customer"
        User.objects.create(pk=77)
    connection.check_constraints()


def test_a_constraint_of_somebody_elses_table_is_a_mistake():
    def write(event):
        Customer.objects.create(name="Ann")

    with projections(lambda: lines(write)):
        Account.open.transact("1", "Ann").unwrap()
        with pytest.raises(HandlerFailed, match="IntegrityError"):
            Account.open.transact("2", "Ann")
        nothing_happened_to("2")


def test_of_many_at_once_the_culprit_is_told(runtime):
    with projections(owners):
        Account.open.transact("7", "Ann").unwrap()
        with pytest.raises(
            RejectedError, match=r"bank\.Account/5: rejected: bank-holder-alias"
        ) as lost:
            commit_all(
                [Account("4").opened("Cid"), Account("5").opened("Ann"), Account("6").opened("Eve")]
            )
        assert lost.value.rejection.aggregate == Account("5")
        for number in "456":
            nothing_happened_to(number)
        assert Holder.objects.count() == 1
        commit_all([Account("4").opened("Cid"), Account("5").opened("Bob")])
        assert Holder.objects.count() == 3


def test_unique_values_wander_within_a_commit():
    with projections(owners):
        Account.open.transact("1", "Ann").unwrap()
        commit_all([Account.get("1").closed(), Account("2").opened("Ann")])
        assert Holder.objects.get().number == "2"


def test_the_answer_is_remembered():
    with projections(owners):
        Account.open.transact("1", "Ann").unwrap()
        message = Account.open.message("2", "Ann")
        first = transact(message, idempotency_key="k")
        Account.close.transact("1").unwrap()
        again = transact(message, idempotency_key="k")
        assert isinstance(first, Rejected)
        assert (again.reason, dict(again.data)) == (first.reason, dict(first.data))
        assert again.aggregate == first.aggregate
        nothing_happened_to("2")
        assert isinstance(transact(message, idempotency_key="l"), Ok)


def test_the_api_answers_422(admin_client):
    with projections(owners, rejections={"bank_holder_alias": "owner-taken"}):
        Account.open.transact("1", "Ann").unwrap()
        answer = admin_client.post(
            "/api/commands/bank.Account.open/",
            {"number": "2", "owner": "Ann"},
            content_type="application/json",
        )
    assert answer.status_code == 422
    assert answer.json()["reason"] == "owner-taken"
    assert answer.json()["data"]["fields"] == ["group", "alias"]
    assert Event.objects.count() == 1


def test_the_constraints_own_code_is_the_reason():
    given = Violation(Kind.UNIQUE, Holder, "bank_holder_alias", ("group", "alias"), "taken")
    assert given.reason({}) == "taken"
    assert given.reason({"bank_holder_alias": "mine"}) == "mine"
    constraint = models.UniqueConstraint(fields=("a",), name="one", violation_error_code="own-code")
    assert constraint.violation_error_code == "own-code"
    assert models.UniqueConstraint(fields=("a",), name="two").violation_error_code is None


@pytest.mark.parametrize(
    ("vendor", "arguments", "told"),
    [
        ("sqlite", ("UNIQUE constraint failed: t.a, t.b",), Told(Kind.UNIQUE, places="t.a, t.b")),
        ("sqlite", ("UNIQUE constraint failed: index 'it''s'",), Told(Kind.UNIQUE, name="it''s")),
        ("sqlite", ("CHECK constraint failed: positive",), Told(Kind.CHECK, name="positive")),
        ("sqlite", ("NOT NULL constraint failed: t.a",), None),
        (
            "mysql",
            (1062, "Duplicate entry 'x' for key 'y' z' for key 't.email'"),
            Told(Kind.UNIQUE, "t", "email"),
        ),
        (
            "mysql",
            (1062, "Duplicate entry 'a\nb' for key 'PRIMARY'"),
            Told(Kind.UNIQUE, name="PRIMARY"),
        ),
        ("mysql", (1048, "Column 'a' cannot be null"), None),
        ("mysql", (3819, "Check constraint 'c' is violated."), Told(Kind.CHECK, name="c")),
        ("mysql", (4025, "CONSTRAINT `c` failed for `db`.`t`"), Told(Kind.CHECK, "t", "c")),
        (
            "mysql",
            (
                1452,
                "Cannot add or update a child row: a foreign key constraint fails (`db`.`t`, CONSTRAINT `f` "
                "FOREIGN KEY (`c_id`) REFERENCES `c` (`id`))",
            ),
            Told(Kind.FOREIGN_KEY, "t", "f"),
        ),
        ("oracle", ("ORA-00001",), None),
    ],
)
def test_what_errors_tell(vendor, arguments, told):
    found = told_by(vendor, IntegrityError(*arguments))
    if vendor == "mysql" and found is not None:
        assert found.value == arguments[1]
        found = found._replace(value="")
    assert found == told


def test_columns_that_are_listed_may_have_any_name():
    listed = Told(Kind.UNIQUE, places="with.dot.A A, with.dot.b, c")
    assert listed.columns("with.dot") == {"A A", "b, c"}
    assert listed.columns("dot") == frozenset()
