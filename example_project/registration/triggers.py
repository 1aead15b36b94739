"""What happens once an event is committed."""

from django.core.mail import send_mail
from django.template.loader import render_to_string
from django.utils.translation import gettext as _

from rill_django import RecordedEvent, after_commit

from .confirmation import confirmation_link
from .domain import EmailOwnership


@after_commit(EmailOwnership.claimed)
def send_confirmation_mail(event: RecordedEvent) -> None:
    """Send the link with the secret to the address that was claimed.

    If the process dies just now the mail is lost. That is bearable: the account can claim again.
    """
    if "occurred_at" in event.metadata:
        return  # History that is recorded afterwards.
    link = confirmation_link(event.email_address, event.account_id, event.claim_id)
    send_mail(
        subject=_("Please confirm your e-mail address"),
        message=render_to_string(
            "registration/confirmation_mail.txt", {"event": event, "link": link}
        ),
        from_email=None,
        recipient_list=[event.email_address],
    )
