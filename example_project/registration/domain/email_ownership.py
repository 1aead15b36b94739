"""Who owns an e-mail address, and who says so."""

import hashlib
import hmac
from typing import Annotated, NamedTuple

from rill_django import Aggregate, Meta, Rejected, command, event, key

from .account import Account
from .email_address import EMAIL_ADDRESS_DEMAND, is_email_address

MOST_OPEN_CLAIMS = 5
"""Claims to one address that may be open at once: whoever does not want the address gets no more mails."""

ClaimId = Annotated[str, Meta(min_length=8, max_length=64)]
Fingerprint = Annotated[str, Meta(pattern="^[0-9a-f]{64}$", max_length=64)]


class Claim(NamedTuple):
    """An account says that an address is its own, and has not proved it yet."""

    claim_id: str
    account_id: str
    fingerprint: str


def fingerprint_of(secret: str) -> str:
    """Return what the log keeps of a secret: enough to know it again, not enough to tell it."""
    # What cannot be encoded is a wrong secret, not an error.
    return hashlib.sha256(secret.encode(errors="replace")).hexdigest()


class EmailOwnership(Aggregate):
    """The claims to one e-mail address, until one of the accounts proves that it is its own.

    No address has two owners: the address is the key, so all who want it meet in one stream. No mailbox
    shall have two either, and ``Ann@example.org`` and ``ann@example.org`` are one mailbox with two keys. An
    aggregate sees only itself, so this is for an inline projection to refuse, which sees all of them:
    `example_project.registration.projections.OwnedAddresses`.

    *Where the secret is.* Events are kept for ever and are read by many (the admin, feeds, backups), so
    a secret in an event is none. Rill/Wheel's example stores it all the same, since the mail is written
    from the event. Here the event has a random claim id and the fingerprint of a secret that the site
    derives from this id with its own key (`example_project.registration.confirmation`). Who
    writes the mail can derive it again; who only reads the log cannot.

    *Where it comes from.* A command that drew random numbers or looked at the clock would decide
    differently when it is tried again or tested, so both are handed in: the id and the fingerprint
    by the caller, and the end of a claim by somebody who has a clock and sends `expire_claim`. It
    follows that only trusted code may send `claim`: who chooses the fingerprint needs no mail.
    """

    email_address: str = key(require=is_email_address, demand=EMAIL_ADDRESS_DEMAND)
    owner: str | None = None
    claims: tuple[Claim, ...] = ()

    @event
    def claimed(
        self, account_id: str, claim_id: ClaimId, fingerprint: Fingerprint
    ) -> "EmailOwnership":
        """An account claimed the address, beside others perhaps; the secret is on its way there."""
        return self.evolve(claims=(*self.claims, Claim(claim_id, account_id, fingerprint)))

    @event
    def claim_expired(self, claim_id: str) -> "EmailOwnership":
        """A claim was not confirmed in time."""
        return self.evolve(claims=tuple(one for one in self.claims if one.claim_id != claim_id))

    @event
    def confirmed(self, account_id: str) -> "EmailOwnership":
        """An account proved that the address is its own. All other claims fall away."""
        return self.evolve(owner=account_id, claims=())

    @command
    def claim(
        self, account_id: str, claim_id: ClaimId, fingerprint: Fingerprint
    ) -> "EmailOwnership | Rejected":
        """Claim the address for an account; again, if a mail got lost. The owner has no need to."""
        if not self.read(Account, account_id).exists:
            return self.reject("no-such-account", account_id=account_id)
        if self.owner == account_id:
            return self
        if self.owner is not None:
            return self.reject("address-taken")
        if any(one.claim_id == claim_id for one in self.claims):
            return self.reject("claim-id-used", claim_id=claim_id)
        if len(self.claims) >= MOST_OPEN_CLAIMS:
            return self.reject("too-many-claims", open=len(self.claims))
        return self.claimed(account_id, claim_id, fingerprint)

    @command
    def expire_claim(self, claim_id: str) -> "EmailOwnership | Rejected":
        """End a claim that has been open for too long. If it is not open any more, all is well."""
        if all(one.claim_id != claim_id for one in self.claims):
            return self
        return self.claim_expired(claim_id)

    @command
    def confirm(self, account_id: str, secret: str) -> "EmailOwnership | Rejected":
        """Take the address, by the secret that was sent to it. To do so twice changes nothing."""
        if self.owner == account_id:
            return self
        if self.owner is not None:
            return self.reject("address-taken")
        claims = [one for one in self.claims if one.account_id == account_id]
        if not claims:
            return self.reject("no-claim")
        given = fingerprint_of(secret)
        if not any(hmac.compare_digest(one.fingerprint, given) for one in claims):
            return self.reject("wrong-secret")
        return self.confirmed(account_id)
