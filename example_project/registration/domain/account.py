"""Accounts, which can be registered once."""

import re

from rill_django import Aggregate, Rejected, command, event, key, require

from .display_name import is_display_name

ACCOUNT_ID = re.compile(r"[a-z0-9][a-z0-9-]{1,29}")
ACCOUNT_ID_DEMAND = "must be 2 to 30 small letters, digits and hyphens, and not begin with a hyphen"
DISPLAY_NAME_DEMAND = "must be a printable text of up to 60 characters, without spare blanks"


def is_account_id(text: str) -> bool:
    """Whether a text may identify an account."""
    return ACCOUNT_ID.fullmatch(text) is not None


class Account(Aggregate):
    """Somebody who has registered.

    No two accounts share an id: the id is the key, so both would be the same stream. No two accounts
    shall share a display name either, but that is not the key, and an aggregate sees only itself. A
    name is therefore accepted first; a view finds out who chose it later than somebody else, and that
    choice is taken back by `refuse_display_name`, an event that compensates for the other one.
    """

    account_id: str = key(require=is_account_id, demand=ACCOUNT_ID_DEMAND)
    display_name: str = ""

    @event
    def registered(self) -> "Account":
        """Somebody registered the account."""
        return self

    @event
    def display_name_chosen(self, display_name: str) -> "Account":
        """The account chose the name that others see."""
        return self.evolve(display_name=display_name)

    @event
    def display_name_refused(self, display_name: str) -> "Account":
        """The name turned out to be somebody else's; the account has none until it chooses another."""
        return self.evolve(display_name="")

    @command
    @require(
        lambda self, display_name: is_display_name(display_name),
        DISPLAY_NAME_DEMAND,
        field="display_name",
    )
    def register(self, display_name: str) -> "Account | Rejected":
        """Register the account under a name that others see."""
        if self.exists:
            return self.reject("already-registered")
        return self.registered().display_name_chosen(display_name)

    @command
    @require(
        lambda self, display_name: is_display_name(display_name),
        DISPLAY_NAME_DEMAND,
        field="display_name",
    )
    def choose_display_name(self, display_name: str) -> "Account | Rejected":
        """Choose another name. That it is free is for a view to say; see the class."""
        if not self.exists:
            return self.reject("no-such-account", account_id=self.account_id)
        if display_name == self.display_name:
            return self
        return self.display_name_chosen(display_name)

    @command
    def refuse_display_name(self, display_name: str) -> "Account | Rejected":
        """Take the choice of a name back. A view may be behind: if the name has changed, leave it."""
        if display_name != self.display_name or not display_name:
            return self
        return self.display_name_refused(display_name)
