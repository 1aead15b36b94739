"""What decisions need from outside: randomness, time, and views over all accounts."""

import secrets
from datetime import datetime

from rill_django import Ok, Result, metadata

from .confirmation import secret_of
from .domain import Account, EmailOwnership
from .domain.email_address import normalised_email_address
from .domain.email_ownership import fingerprint_of
from .models import DisplayName, OpenClaim


def claim_address(account_id: str, email_address: str) -> Result[EmailOwnership]:
    """Claim an address for an account. The secret goes to the address; see ``triggers.py``.

    Raises:
        InvalidMessage: it does not look like an address, or the account's id like one.
    """
    claim_id = secrets.token_urlsafe(16)
    return EmailOwnership.claim.transact(
        normalised_email_address(email_address),
        account_id=account_id,
        claim_id=claim_id,
        fingerprint=fingerprint_of(secret_of(claim_id)),
    )


def expire_claims(made_before: datetime) -> int:
    """End the claims that were made before a point in time; return how many were still open."""
    expired = 0
    with metadata(reason="not confirmed in time"):
        for claim in OpenClaim.objects.made_before(made_before):
            result = EmailOwnership.expire_claim.transact(claim.email_address, claim.claim_id)
            expired += _changed_something(result)
    return expired


def refuse_duplicate_display_names() -> int:
    """Take back every choice of a display name that came after somebody else's; return how many.

    To be run again and again: it sees what the view has seen by now, and a choice that is taken back
    already is left alone.
    """
    refused = 0
    with metadata(reason="somebody else chose this display name first"):
        for one in DisplayName.objects.duplicates():
            result = Account.refuse_display_name.transact(one.account_id, one.name)
            refused += _changed_something(result)
    return refused


def _changed_something(result: Result[Account] | Result[EmailOwnership]) -> bool:
    return isinstance(result, Ok) and bool(result.events)
