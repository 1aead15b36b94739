"""Forms. They say kindly and early what the domain says for certain."""

from typing import Any

from django import forms
from django.utils.translation import gettext_lazy as _

from .domain.account import is_account_id
from .domain.display_name import LONGEST_DISPLAY_NAME, is_display_name
from .domain.email_address import (
    LONGEST_EMAIL_ADDRESS,
    is_email_address,
    normalised_email_address,
)
from .models import DisplayName, OwnedAddress
from .rejections import REJECTIONS


class DisplayNameForm(forms.Form):
    """Choose the name that others see.

    That a name is taken is asked of a view, which may be behind: an answer for nearly all cases, and
    `services.refuse_duplicate_display_names` for the rest.
    """

    display_name = forms.CharField(
        label=_("Display name"),
        max_length=LONGEST_DISPLAY_NAME,
        help_text=_("What others see. No two accounts have the same."),
        widget=forms.TextInput(attrs={"autocomplete": "nickname"}),
    )

    def __init__(self, *args: Any, account_id: str = "", **options: Any) -> None:
        super().__init__(*args, **options)
        self._account_id = account_id

    def clean_display_name(self) -> str:
        """Return the name with single blanks."""
        name = " ".join(self.cleaned_data["display_name"].split())
        if not is_display_name(name):
            raise forms.ValidationError(_("This name cannot be shown. Choose another one."))
        account_id = self.cleaned_data.get("account_id", self._account_id)
        if DisplayName.objects.of_others(name, account_id).exists():
            raise forms.ValidationError(_("Somebody else has this name. Choose another one."))
        return name


class EmailAddressForm(forms.Form):
    """Claim an address.

    An address that differs from another one's in capital letters alone could never be confirmed.
    """

    email_address = forms.EmailField(
        label=_("E-mail address"),
        max_length=LONGEST_EMAIL_ADDRESS,
        help_text=_("We send a mail there, to see that it is yours."),
        widget=forms.EmailInput(attrs={"autocomplete": "email"}),
    )

    def clean_email_address(self) -> str:
        """Return the address in the form that the domain knows."""
        address = normalised_email_address(self.cleaned_data["email_address"])
        if not is_email_address(address):
            raise forms.ValidationError(_("This address has a form that we cannot send mail to."))
        if OwnedAddress.objects.spelling_of(address) not in (None, address):
            raise forms.ValidationError(REJECTIONS["mailbox-taken"])
        return address


class RegistrationForm(EmailAddressForm, DisplayNameForm):
    """Register an account, and claim its first address."""

    account_id = forms.CharField(
        label=_("Account"),
        max_length=30,
        help_text=_("2 to 30 small letters, digits and hyphens. It stays for ever."),
        widget=forms.TextInput(attrs={"autocomplete": "username", "autocapitalize": "none"}),
    )

    field_order = ("account_id", "display_name", "email_address")

    def clean_account_id(self) -> str:
        """Return the id."""
        account_id: str = self.cleaned_data["account_id"]
        if not is_account_id(account_id):
            raise forms.ValidationError(
                _("Use 2 to 30 small letters, digits and hyphens, and no hyphen at the beginning.")
            )
        return account_id


class ConfirmationForm(forms.Form):
    """What the link in the mail carries."""

    email = forms.CharField(widget=forms.HiddenInput)
    account = forms.CharField(widget=forms.HiddenInput)
    secret = forms.CharField(widget=forms.HiddenInput)
