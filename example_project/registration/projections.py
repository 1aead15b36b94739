"""From events to the rows of ``models.py``."""

from rill_django import DELETE, Deletion, Projection, RecordedEvent, RowProjection, on

from .domain import Account, EmailOwnership
from .domain.display_name import folded_display_name
from .domain.email_address import mailbox_of
from .models import DisplayName, OpenClaim, OwnedAddress, RegisteredAccount


class RegisteredAccounts(RowProjection[RegisteredAccount]):
    """One row per account, from its own events and those of the address that it owns."""

    key = "account_id"

    @on(Account.registered)
    def registered(self, row: RegisteredAccount, event: RecordedEvent) -> None:
        """The row begins here."""
        row.registered_at = event.occurred_at

    @on(Account.display_name_chosen)
    def display_name_chosen(
        self, row: RegisteredAccount, event: RecordedEvent, display_name: str
    ) -> None:
        """Shown at once, even if it is taken back later."""
        row.display_name = display_name

    @on(Account.display_name_refused)
    def display_name_refused(self, row: RegisteredAccount, event: RecordedEvent) -> None:
        """There is no name until another one is chosen."""
        row.display_name = ""

    @on(EmailOwnership.confirmed)
    def confirmed(self, row: RegisteredAccount, event: RecordedEvent) -> None:
        """An account may own several addresses; the last one is shown."""
        row.email_address = event.email_address


class OwnedAddresses(RowProjection[OwnedAddress]):
    """One row per address that has an owner, and at most one per mailbox.

    Inline: the commands that confirm addresses keep it, each in its own transaction, and whoever would
    be the second owner of a mailbox is rejected. However many confirm at once, one of them is first.
    """

    key = "email_address"
    inline = True
    rejections = {
        "registration_one_owner_a_mailbox": "mailbox-taken",
        # On MySQL, where the primary key does not tell small letters from capitals either.
        "email_address": "mailbox-taken",
    }

    @on(EmailOwnership.confirmed)
    def confirmed(self, row: OwnedAddress, event: RecordedEvent, account_id: str) -> None:
        """There is one such event in the life of an address."""
        row.mailbox = mailbox_of(event.email_address)
        row.account_id = account_id


class OpenClaims(Projection):
    """The claims that wait for a confirmation. One event may end several, so handlers are free."""

    models = (OpenClaim,)

    @on(EmailOwnership.claimed)
    def claimed(self, event: RecordedEvent) -> None:
        """A claim begins."""
        OpenClaim.objects.create(
            claim_id=event.claim_id,
            email_address=event.email_address,
            account_id=event.account_id,
            claimed_at=event.occurred_at,
        )

    @on(EmailOwnership.claim_expired)
    def claim_expired(self, event: RecordedEvent, claim_id: str) -> None:
        """One claim ends."""
        OpenClaim.objects.filter(claim_id=claim_id).delete()

    @on(EmailOwnership.confirmed)
    def confirmed(self, event: RecordedEvent) -> None:
        """All claims to the address end."""
        OpenClaim.objects.filter(email_address=event.email_address).delete()


class DisplayNames(RowProjection[DisplayName]):
    """Who chose which display name when: what the search for duplicates needs, and no more.

    It only records. To refuse a name is a command, and a projection that sent commands would send
    them again in every rebuild; `services.refuse_duplicate_display_names` does it.
    """

    key = "account_id"

    @on(Account.display_name_chosen)
    def chosen(self, row: DisplayName, event: RecordedEvent, display_name: str) -> None:
        """The account leaves its former name to others."""
        assert event.position is not None
        row.name = display_name
        row.folded = folded_display_name(display_name)
        row.position = event.position

    @on(Account.display_name_refused)
    def refused(self, row: DisplayName, event: RecordedEvent) -> Deletion:
        """The account has no name."""
        return DELETE
