"""The people of the demo register by commands, once."""

import pytest
from django.core import mail
from django.utils import timezone

from example_project.home.demo import filling
from example_project.registration.domain import Account, EmailOwnership
from example_project.registration.people import PEOPLE, register_people
from example_project.registration.services import claim_address
from rill_django import RejectedError
from rill_django.models import Event

pytestmark = pytest.mark.django_db(transaction=True)


def test_they_register_once():
    now = timezone.now()
    assert register_people(now) == len(PEOPLE)
    events = Event.objects.count()
    assert register_people(now) == 0
    assert Event.objects.count() == events
    assert mail.outbox == []


def test_who_was_there_already_stays_as_they_are():
    Account.register.transact("marta", "Somebody else").unwrap()
    assert register_people(timezone.now()) == len(PEOPLE) - 1
    assert Account.get("marta").display_name == "Somebody else"
    assert not EmailOwnership.get("marta@example.org").owner


def test_a_mailbox_that_is_taken_takes_all_of_them_back():
    Account.register.transact("visitor", "Visitor").unwrap()
    address = "MARTA@example.org"
    claim_address("visitor", address).unwrap()
    secret = mail.outbox[0].body.split("secret=")[1].split()[0]
    EmailOwnership.confirm.transact(address, "visitor", secret).unwrap()
    before = Event.objects.count()
    with pytest.raises(RejectedError, match="mailbox-taken"):
        register_people(timezone.now())
    assert Event.objects.count() == before
    assert filling.register_people() == 0


def test_the_times_are_those_of_the_story():
    now = timezone.now()
    register_people(now)
    first = next(
        iter(Event.objects.filter(stream="registration.Account/marta").order_by("version"))
    )
    assert first.metadata["reason"] == "registered for the demo"
    assert first.metadata["occurred_at"] < now.isoformat()
