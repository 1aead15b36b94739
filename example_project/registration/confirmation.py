"""The secret of a claim, and the link that carries it."""

from django.conf import settings
from django.urls import reverse
from django.utils.crypto import salted_hmac


def secret_of(claim_id: str) -> str:
    """Return the secret of a claim: the same every time, and known only with the site's ``SECRET_KEY``.

    A change of that key does no harm to mails on their way: the log has the secret's fingerprint.
    """
    salt = "example_project.registration.claim"
    return salted_hmac(salt, claim_id, algorithm="sha256").hexdigest()


def confirmation_link(email_address: str, account_id: str, claim_id: str) -> str:
    """Return the full address of the page on which a claim is confirmed.

    It begins with ``settings.SITE_URL`` and not with the host that a request names, which its sender
    can choose.
    """
    site = getattr(settings, "SITE_URL", "http://localhost:8000").rstrip("/")
    query = {"email": email_address, "account": account_id, "secret": secret_of(claim_id)}
    return f"{site}{reverse('registration:confirm', query=query)}"
