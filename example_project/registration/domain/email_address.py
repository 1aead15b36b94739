"""E-mail addresses in the one form that the domain knows."""

import re

LONGEST_EMAIL_ADDRESS = 254
EMAIL_ADDRESS_DEMAND = "must look like an e-mail address, with its domain in small ASCII letters"

_LABEL = r"[a-z0-9](?:[a-z0-9-]*[a-z0-9])?"
_EMAIL_ADDRESS = re.compile(rf"[^\s@\x00-\x1f\x7f]+@(?:{_LABEL}\.)+{_LABEL}")


def normalised_email_address(text: str) -> str:
    """Return an address as it was typed in the form that keys have.

    Only the domain's case is without meaning; what stands before the ``@`` is up to the receiver
    (RFC 5321, section 2.4).
    """
    local, at, domain = text.strip().rpartition("@")
    return f"{local}{at}{domain.lower()}"


def mailbox_of(email_address: str) -> str:
    """Return the form in which addresses that reach the same mailbox are the same.

    The standard leaves it to the receiver whether ``Ann@`` and ``ann@`` are two mailboxes. Mails go to the
    address as it was typed; but nobody's provider has two, so that there shall not be two owners.
    """
    return email_address.casefold()


def is_email_address(text: str) -> bool:
    """Whether a text looks like an address in its normal form. Whether it exists, only a mail can tell.

    Other forms are refused, not translated: a key names a stream, and one address must not have two.
    """
    return len(text) <= LONGEST_EMAIL_ADDRESS and _EMAIL_ADDRESS.fullmatch(text) is not None
