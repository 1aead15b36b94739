"""The pages. Whoever registers stays known for the session; a real site would have a password, too."""

from http import HTTPStatus
from typing import Any

from django.contrib import messages
from django.core.exceptions import ValidationError
from django.forms import Form
from django.http import HttpRequest, HttpResponse
from django.shortcuts import redirect, render
from django.utils.translation import gettext as _
from django.utils.translation import gettext_lazy
from django.views.decorators.cache import never_cache
from django.views.decorators.debug import sensitive_post_parameters, sensitive_variables
from django.views.decorators.http import require_GET, require_http_methods, require_POST

from rill_django import Conflict, InvalidMessage, Ok, Rejected, Result, metadata

from .domain import Account, EmailOwnership
from .forms import ConfirmationForm, DisplayNameForm, EmailAddressForm, RegistrationForm
from .models import OpenClaim, OwnedAddress, RegisteredAccount
from .rejections import explanation_of
from .services import claim_address
from .throttling import may_send_mail

ACCOUNT_IN_SESSION = "registration_account"
NEWEST = 10
TOO_MANY_CODE = "too-many-mails"
TOO_MANY = gettext_lazy("You have asked for many mails in a short time. Try again in an hour.")


@require_http_methods(["GET", "HEAD", "POST"])
def index(request: HttpRequest) -> HttpResponse:
    """Show who has registered, and register an account."""
    form = RegistrationForm(request.POST or None)
    if request.method == "POST" and form.is_valid() and _may_send_mail(request, form):
        account_id = form.cleaned_data["account_id"]
        with metadata(actor=account_id):
            registered = Account.register.transact(account_id, form.cleaned_data["display_name"])
            if _is_done(request, registered):
                request.session.cycle_key()
                request.session[ACCOUNT_IN_SESSION] = account_id
                # Another transaction, as it is another stream. Should the address be refused, the
                # account is there all the same, and its page takes another address.
                _claim(request, form.cleaned_data["email_address"])
                return redirect("registration:account")
    newest = RegisteredAccount.objects.all()[:NEWEST]
    context = {"form": form, "newest": newest, "own_account": _own_account(request)}
    return render(request, "registration/index.html", context, status=_status_of(form))


@never_cache
@require_GET
def account(request: HttpRequest) -> HttpResponse:
    """Show the session's own account."""
    return _account_page(request)


@require_POST
def claim(request: HttpRequest) -> HttpResponse:
    """Claim an address for the session's account."""
    form = EmailAddressForm(request.POST)
    if form.is_valid() and _may_send_mail(request, form):
        with metadata(actor=_own_account(request)):
            if _claim(request, form.cleaned_data["email_address"]):
                return redirect("registration:account")
    return _account_page(request, claim_form=form)


@require_POST
def choose_display_name(request: HttpRequest) -> HttpResponse:
    """Give the session's account another name."""
    account_id = _own_account(request)
    form = DisplayNameForm(request.POST, account_id=account_id)
    if account_id and form.is_valid():
        name = form.cleaned_data["display_name"]
        with metadata(actor=account_id):
            result = Account.choose_display_name.transact(account_id, name)
        if _is_done(request, result):
            messages.success(request, _("Others see you as %(name)s now.") % {"name": name})
            return redirect("registration:account")
    return _account_page(request, name_form=form)


@require_POST
def leave(request: HttpRequest) -> HttpResponse:
    """Forget the session's account, so that another one can be registered."""
    request.session.flush()
    return redirect("registration:index")


@never_cache
@sensitive_post_parameters("secret")
@sensitive_variables("form", "secret")
@require_http_methods(["GET", "HEAD", "POST"])
def confirm(request: HttpRequest) -> HttpResponse:
    """Ask for a click, then confirm: mail programs follow links by themselves, and must change nothing."""
    form = ConfirmationForm(request.POST if request.method == "POST" else request.GET)
    if not form.is_valid():
        return render(request, "registration/confirm.html", status=HTTPStatus.BAD_REQUEST)
    address, account_id = form.cleaned_data["email"], form.cleaned_data["account"]
    if request.method == "POST":
        secret = form.cleaned_data["secret"]
        try:
            with metadata(actor=account_id):
                result = EmailOwnership.confirm.transact(address, account_id, secret)
        except InvalidMessage:
            return render(request, "registration/confirm.html", status=HTTPStatus.BAD_REQUEST)
        if _is_done(request, result):
            told = _("%(address)s now belongs to the account %(account)s.")
            messages.success(request, told % {"address": address, "account": account_id})
            own = account_id == _own_account(request)
            return redirect("registration:account" if own else "registration:index")
    context = {"form": form, "address": address, "account_id": account_id}
    refused = request.method == "POST"
    status = HTTPStatus.UNPROCESSABLE_ENTITY if refused else HTTPStatus.OK
    return render(request, "registration/confirm.html", context, status=status)


def _own_account(request: HttpRequest) -> str:
    account_id: str = request.session.get(ACCOUNT_IN_SESSION, "")
    return account_id


def _may_send_mail(request: HttpRequest, form: Form) -> bool:
    """Return whether this visitor may have one more mail sent; if not, have the form say so."""
    if may_send_mail(request):
        return True
    form.add_error("email_address", ValidationError(TOO_MANY, code=TOO_MANY_CODE))
    return False


def _claim(request: HttpRequest, address: str) -> bool:
    try:
        result = claim_address(_own_account(request), address)
    except InvalidMessage as error:
        messages.error(request, error.reason)
        return False
    if not _is_done(request, result):
        return False
    if isinstance(result, Ok) and not result.events:
        messages.info(request, _("This address is yours already."))
    else:
        told = _("A mail is on its way to %(address)s. Follow its link to confirm.")
        messages.success(request, told % {"address": address})
    return True


def _is_done(request: HttpRequest, result: Result[Any]) -> bool:
    """Return whether a command was accepted; if not, say why."""
    match result:
        case Ok():
            return True
        case Rejected() | Conflict():
            messages.error(request, str(explanation_of(result)))
    return False


def _account_page(
    request: HttpRequest,
    *,
    claim_form: EmailAddressForm | None = None,
    name_form: DisplayNameForm | None = None,
) -> HttpResponse:
    account_id = _own_account(request)
    if not account_id:
        return redirect("registration:index")
    # What the account itself knows is always up to date. Addresses are other aggregates, and which of
    # them concern this account is a question for views: those that are its own are there at once, since
    # their projection is inline; open claims may be a moment behind.
    addresses = [one.email_address for one in OwnedAddress.objects.filter(account_id=account_id)]
    own = Account.get(account_id)
    name_form = name_form or DisplayNameForm(initial={"display_name": own.display_name})
    context = {
        "account": own,
        "addresses": addresses,
        "claims": OpenClaim.objects.filter(account_id=account_id).exclude(
            email_address__in=addresses
        ),
        "claim_form": claim_form or EmailAddressForm(),
        "name_form": name_form,
    }
    status = _status_of(*(form for form in (claim_form, name_form) if form))
    return render(request, "registration/account.html", context, status=status)


def _status_of(*forms: Form) -> HTTPStatus:
    # A form that is shown again has been refused, by itself or by the domain.
    if any(form.has_error("email_address", TOO_MANY_CODE) for form in forms):
        return HTTPStatus.TOO_MANY_REQUESTS
    shown_again = any(form.is_bound for form in forms)
    return HTTPStatus.UNPROCESSABLE_ENTITY if shown_again else HTTPStatus.OK
