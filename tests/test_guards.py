"""``transact(…, guard=…)``: a look at the aggregate before it decides."""

import pytest

from rill_django import Ok, transact
from tests.bank.domain import Account

pytestmark = pytest.mark.django_db


class Refused(Exception):
    """What a guard raises."""


def refuse(account):
    raise Refused(account.version)


def test_sees_the_aggregate_as_it_is_and_may_end_the_command():
    Account.open.transact("1", "Ann").unwrap()
    with pytest.raises(Refused) as caught:
        transact(Account.deposit.message("1", 5), guard=refuse)
    assert caught.value.args == (0,)
    assert Account.get("1").balance == 0
    seen = []
    transact(Account.deposit.message("1", 5), guard=lambda account: seen.append(account.owner))
    assert (seen, Account.get("1").balance) == (["Ann"], 5)


def test_leaves_an_idempotency_key_free_and_is_not_asked_about_a_repetition():
    message = Account.open.message("1", "Ann")
    with pytest.raises(Refused):
        transact(message, idempotency_key="k", guard=refuse)
    assert isinstance(transact(message, idempotency_key="k"), Ok)
    assert transact(message, idempotency_key="k", guard=refuse).is_repetition
