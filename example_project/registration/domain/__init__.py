"""What may happen to accounts and e-mail addresses. No database, clock or randomness in here."""

from .account import Account
from .email_ownership import Claim, EmailOwnership

__all__ = ["Account", "Claim", "EmailOwnership"]
