"""How often one visitor may have mails sent: each goes to an address that may be somebody else's."""

from django.conf import settings
from django.http import HttpRequest
from rest_framework.request import Request
from rest_framework.throttling import SimpleRateThrottle


class MailThrottle(SimpleRateThrottle):
    """So many mails an hour for one client address.

    Counted in Django's cache, which several processes have to share for that: see ``CACHES`` in the
    settings. Behind a proxy the framework's ``NUM_PROXIES`` says whose address counts.
    """

    scope = "registration-mails"

    def get_rate(self) -> str:
        """See Django REST framework."""
        return f"{settings.REGISTRATION_MAILS_PER_HOUR}/hour"

    def get_cache_key(self, request: Request, view: object) -> str:
        """See Django REST framework."""
        return self.cache_format % {"scope": self.scope, "ident": self.get_ident(request)}


def may_send_mail(request: HttpRequest) -> bool:
    """Count a mail that a visitor asks for; return whether it is not one too many."""
    return MailThrottle().allow_request(Request(request), None)
