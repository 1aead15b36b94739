"""The domain's refusals, in words for people."""

from django.utils.functional import Promise
from django.utils.translation import gettext_lazy as _

from rill_django import Conflict, Rejected

REJECTIONS: dict[str, Promise] = {
    "already-registered": _("An account with this name is registered already. Choose another one."),
    "no-such-account": _("There is no such account."),
    "address-taken": _("This address belongs to another account."),
    "mailbox-taken": _("This address has an owner already: capital letters make no difference."),
    "no-claim": _(
        "This claim is not open: it has expired, or was never made. Claim the address again to "
        "get a new mail."
    ),
    "too-many-claims": _(
        "This address is claimed several times already. Use the link of a mail that was sent there, or "
        "wait until the claims have expired."
    ),
    "wrong-secret": _("This is not the secret that was sent to the address."),
}

CONFLICT = _("Somebody else was faster. Please try again.")


def explanation_of(refusal: Rejected | Conflict) -> Promise | str:
    """Return what to tell the person whose command was refused."""
    if isinstance(refusal, Conflict):
        return CONFLICT
    return REJECTIONS.get(refusal.reason, refusal.reason)
