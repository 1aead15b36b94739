"""Some people who have registered already, for the demo: the example's tables have something to show."""

from __future__ import annotations

from datetime import datetime, timedelta
from itertools import groupby
from operator import attrgetter
from typing import NamedTuple

from django.db import transaction

from rill_django import Rejected, commit_all, get_all, metadata
from rill_django.domain.messages import EventMessage

from .confirmation import secret_of
from .domain import Account, EmailOwnership
from .domain.email_ownership import fingerprint_of

REASON = "registered for the demo"
UNTIL_CONFIRMED = timedelta(minutes=25)


class Person(NamedTuple):
    """Somebody who has registered some hours ago, and has confirmed an address or has not."""

    account_id: str
    display_name: str
    email_address: str
    hours_ago: int
    has_confirmed: bool = True

    @property
    def claim_id(self) -> str:
        """Of the one claim that is made here."""
        return f"demo-{self.account_id}"


PEOPLE = (
    Person("marta", "Marta Lindqvist", "marta@example.org", 214),
    # Claimed the same address, and was slower: the claim has fallen away.
    Person("marta-l", "M. L.", "marta@example.org", 213, has_confirmed=False),
    Person("jonas", "Jonas B.", "jonas@example.org", 190),
    Person("priya", "Priya", "priya.nair@example.com", 166),
    Person("chen", "Chen Wei", "chen@example.net", 141),
    Person("amina", "Amina", "amina@example.org", 118),
    # Open for more than two days: `settle_registrations` lets it expire.
    Person("wanderer", "The Wanderer", "nowhere@example.net", 97, has_confirmed=False),
    Person("luis", "Luís", "luis@example.com", 72),
    Person("sofia", "Sofia K.", "sofia@example.org", 45),
    # Two who want one address. Whoever confirms first takes it.
    Person("early-shift", "Early shift", "desk@example.org", 20, has_confirmed=False),
    Person("late-shift", "Late shift", "desk@example.org", 12, has_confirmed=False),
    # Chose a name that somebody else has: `settle_registrations` takes it back.
    Person("priya-2", "PRIYA", "priya@example.net", 7),
    Person("tomasz", "Tomasz", "tomasz@example.com", 2, has_confirmed=False),
)


def register_people(now: datetime) -> int:
    """Have those register who have not, all or none; return how many.

    It is history, with the times at which it would have happened, so that no mails are sent.

    Args:
        now: aware; what "hours ago" counts from.
    """
    with transaction.atomic(), metadata(reason=REASON):
        accounts = get_all(Account(person.account_id) for person in PEOPLE)
        new = [
            (person, account)
            for person, account in zip(PEOPLE, accounts, strict=True)
            if not account.exists
        ]
        happened = {person.account_id: now - timedelta(hours=person.hours_ago) for person, _ in new}

        def occurred_at(event: EventMessage) -> datetime:
            account_id: str = event.account_id
            was_confirmed = event.definition is EmailOwnership.confirmed
            return happened[account_id] + (UNTIL_CONFIRMED if was_confirmed else timedelta())

        commit_all(
            [account.register(person.display_name) for person, account in new],
            occurred_at=occurred_at,
        )
        by_address = attrgetter("email_address")
        commit_all(
            [
                _claims(address, list(people))
                for address, people in groupby((person for person, _ in new), by_address)
            ],
            occurred_at=occurred_at,
        )
    return len(new)


def _claims(email_address: str, people: list[Person]) -> EmailOwnership | Rejected:
    """Decide about all that is said of one address."""
    ownership: EmailOwnership | Rejected = EmailOwnership.get(email_address)
    for person in people:
        if isinstance(ownership, EmailOwnership):
            fingerprint = fingerprint_of(secret_of(person.claim_id))
            ownership = ownership.claim(person.account_id, person.claim_id, fingerprint)
    for person in people:
        if isinstance(ownership, EmailOwnership) and person.has_confirmed:
            ownership = ownership.confirm(person.account_id, secret_of(person.claim_id))
    return ownership
