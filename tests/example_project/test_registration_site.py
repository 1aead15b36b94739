"""The site round registration: pages, mails, projections, housekeeping, admin."""

from datetime import timedelta
from urllib.parse import parse_qs, urlsplit

import pytest
from django.core import mail
from django.core.management import CommandError, call_command
from django.db import transaction
from django.test import Client
from django.urls import reverse
from django.utils import timezone

from example_project.registration.confirmation import confirmation_link, secret_of
from example_project.registration.domain import Account, EmailOwnership
from example_project.registration.models import (
    DisplayName,
    OpenClaim,
    OwnedAddress,
    RegisteredAccount,
)
from example_project.registration.projections import (
    DisplayNames,
    OpenClaims,
    OwnedAddresses,
    RegisteredAccounts,
)
from example_project.registration.services import (
    claim_address,
    expire_claims,
    refuse_duplicate_display_names,
)
from rill_django import Ok
from rill_django.projections.rebuild import rebuild
from rill_django.projections.worker import catch_up
from rill_django.store.orm import DjangoEventStore

pytestmark = pytest.mark.django_db

PROJECTIONS = (RegisteredAccounts, OwnedAddresses, OpenClaims, DisplayNames)
ADDRESS = "ann@example.org"


def project():
    """Bring the projections of this app up to date."""
    catch_up(*(projection.name for projection in PROJECTIONS))


def last_event():
    """Return the newest event of the log."""
    (event,) = DjangoEventStore().read().backwards().limit(1)
    return event


class Visitor:
    """Somebody with a browser. What happens after commit has happened when a page is there."""

    def __init__(self, on_commit):
        self.client = Client()
        self._on_commit = on_commit

    def get(self, page):
        return self.client.get(page if page.startswith("/") else reverse(f"registration:{page}"))

    def post(self, page, **data):
        with self._on_commit(execute=True):
            return self.client.post(reverse(f"registration:{page}"), data, follow=True)

    def register(self, account_id, address=ADDRESS, name=""):
        return self.post(
            "index",
            account_id=account_id,
            display_name=name or account_id.title(),
            email_address=address,
        )

    def follow_link(self, link):
        """Open the page of a mail's link and press its button."""
        parts = urlsplit(link)
        asked = self.get(f"{parts.path}?{parts.query}")
        assert asked.status_code == 200
        return self.post("confirm", **asked.context["form"].data.dict())


@pytest.fixture
def visitor(django_capture_on_commit_callbacks):
    return lambda: Visitor(django_capture_on_commit_callbacks)


@pytest.fixture
def ann(visitor):
    return visitor()


def told(response):
    """Return the messages that a page shows."""
    return [str(message) for message in response.context["messages"]]


def link_in(message):
    (link,) = [line for line in message.body.splitlines() if line.startswith("http")]
    return link


class TestRegistering:
    def test_sends_a_mail_with_a_link_that_confirms_the_address(self, ann):
        page = ann.register("ann")
        assert page.redirect_chain == [(reverse("registration:account"), 302)]
        assert told(page) == [f"A mail is on its way to {ADDRESS}. Follow its link to confirm."]
        (message,) = mail.outbox
        assert message.to == [ADDRESS]
        assert "for the account ann." in message.body

        page = ann.follow_link(link_in(message))
        assert told(page) == [f"{ADDRESS} now belongs to the account ann."]
        assert EmailOwnership.get(ADDRESS).owner == "ann"

    def test_twice_is_refused(self, ann, visitor):
        ann.register("ann")
        page = visitor().register("ann", name="Another")
        assert page.status_code == 422
        assert told(page) == [
            "An account with this name is registered already. Choose another one."
        ]
        assert len(mail.outbox) == 1

    def test_normalises_the_address(self, ann):
        ann.register("ann", "Ann@Example.ORG")
        assert mail.outbox[0].to == ["Ann@example.org"]
        assert EmailOwnership.get("Ann@example.org").exists

    @pytest.mark.parametrize(
        ("field", "value"),
        [
            ("account_id", "Ann!"),
            ("account_id", ""),
            ("display_name", "a\u200bb"),
            ("email_address", "ann"),
            ("email_address", "ann@münchen.example"),
        ],
    )
    def test_says_which_field_is_wrong(self, ann, field, value):
        good = {"account_id": "ann", "display_name": "Ann", "email_address": ADDRESS}
        page = ann.post("index", **{**good, field: value})
        assert page.status_code == 422
        assert list(page.context["form"].errors) == [field]
        assert DjangoEventStore().head() == 0

    def test_with_an_address_that_is_taken_leaves_an_account_without_one(self, ann, visitor):
        ann.register("ann")
        ann.follow_link(link_in(mail.outbox[0]))
        page = visitor().register("bob")
        assert told(page) == ["This address belongs to another account."]
        assert page.context["account"].account_id == "bob"
        assert len(mail.outbox) == 1

    def test_sends_only_so_many_mails_for_one_visitor(self, visitor, settings):
        settings.REGISTRATION_MAILS_PER_HOUR = 2
        for number in range(2):
            assert visitor().register(f"ann{number}", f"ann{number}@example.org").status_code == 200
        before = DjangoEventStore().head()
        page = visitor().register("bob")
        assert page.status_code == 429
        assert list(page.context["form"].errors) == ["email_address"]
        assert (len(mail.outbox), DjangoEventStore().head()) == (2, before)

    def test_counts_claims_of_an_account_as_well(self, ann, settings):
        settings.REGISTRATION_MAILS_PER_HOUR = 1
        ann.register("ann")
        page = ann.post("claim", email_address="somebody@example.org")
        assert page.status_code == 429
        assert "Try again in an hour" in str(page.context["claim_form"].errors)
        assert len(mail.outbox) == 1

    def test_notes_who_did_it(self, ann):
        ann.register("ann")
        event = last_event()
        assert event.type == "registration.EmailOwnership.claimed"
        assert event.metadata["actor"] == "ann"
        assert event.metadata["command"] == "registration.EmailOwnership.claim"
        assert event.metadata["correlation_id"]


class TestConfirming:
    def test_needs_a_click(self, ann):
        ann.register("ann")
        parts = urlsplit(link_in(mail.outbox[0]))
        page = ann.get(f"{parts.path}?{parts.query}")
        assert page.status_code == 200
        assert EmailOwnership.get(ADDRESS).owner is None

    def test_works_in_another_browser(self, ann, visitor):
        ann.register("ann")
        page = visitor().follow_link(link_in(mail.outbox[0]))
        assert page.redirect_chain == [(reverse("registration:index"), 302)]
        assert EmailOwnership.get(ADDRESS).owner == "ann"

    def test_twice_is_fine(self, ann):
        ann.register("ann")
        for _ in range(2):
            page = ann.follow_link(link_in(mail.outbox[0]))
            assert told(page) == [f"{ADDRESS} now belongs to the account ann."]
        assert EmailOwnership.get(ADDRESS).version == 1

    def test_is_won_by_the_first(self, ann, visitor):
        bob = visitor()
        ann.register("ann")
        bob.register("bob")
        anns_mail, bobs_mail = mail.outbox
        bob.follow_link(link_in(bobs_mail))
        page = ann.follow_link(link_in(anns_mail))
        assert page.status_code == 422
        assert told(page) == ["This address belongs to another account."]
        assert EmailOwnership.get(ADDRESS).owner == "bob"

    def test_with_a_secret_from_the_log_is_refused(self, ann):
        ann.register("ann")
        event = last_event()
        for guess in (event.claim_id, event.fingerprint):
            page = ann.post("confirm", email=ADDRESS, account="ann", secret=guess)
            assert page.status_code == 422
            assert told(page) == ["This is not the secret that was sent to the address."]

    def test_of_an_expired_claim_is_refused(self, ann):
        ann.register("ann")
        project()
        assert expire_claims(timezone.now() + timedelta(seconds=1)) == 1
        page = ann.follow_link(link_in(mail.outbox[0]))
        assert page.status_code == 422
        assert "expired" in told(page)[0]

    @pytest.mark.parametrize(
        "query",
        ["", "?email=ann@example.org&account=ann", "?email=&account=&secret=", "?secret=%00"],
    )
    def test_with_half_a_link_is_a_bad_request(self, ann, query):
        page = ann.get(reverse("registration:confirm") + query)
        assert page.status_code == 400
        assert "not complete" in page.content.decode()

    def test_of_something_that_is_no_address_is_a_bad_request(self, ann):
        page = ann.post("confirm", email="nonsense", account="ann", secret="x")
        assert page.status_code == 400

    def test_has_a_key_of_the_site_in_its_secret(self, settings):
        before = secret_of("claim-of-ann")
        assert before == secret_of("claim-of-ann") != secret_of("claim-of-bob")
        settings.SECRET_KEY = "another key"
        assert secret_of("claim-of-ann") != before

    def test_link_begins_with_the_sites_own_address(self, settings):
        settings.SITE_URL = "https://example.com/"
        link = confirmation_link("a+b@example.org", "ann", "claim-of-ann")
        assert link.startswith("https://example.com/registration/confirm/?")
        assert parse_qs(urlsplit(link).query) == {
            "email": ["a+b@example.org"],
            "account": ["ann"],
            "secret": [secret_of("claim-of-ann")],
        }


class TestOwnPage:
    def test_is_for_those_who_have_registered(self, ann):
        assert ann.get("account").headers["Location"] == reverse("registration:index")
        for page in ("claim", "display-name", "leave"):
            assert ann.get(page).status_code == 405

    def test_shows_claims_and_the_confirmed_address(self, ann):
        ann.register("ann")
        project()
        page = ann.get("account")
        assert [claim.email_address for claim in page.context["claims"]] == [ADDRESS]
        assert "none confirmed" in page.content.decode()
        page = ann.follow_link(link_in(mail.outbox[0]))
        # At once: no worker has been there yet.
        assert page.context["addresses"] == [ADDRESS]
        assert f"{ADDRESS} <span" in page.content.decode()
        assert list(page.context["claims"]) == []
        assert OpenClaim.objects.exists()
        project()
        assert not OpenClaim.objects.exists()

    def test_claims_another_address_and_sends_a_lost_mail_again(self, ann):
        ann.register("ann")
        ann.post("claim", email_address="other@example.org")
        ann.post("claim", email_address="other@example.org")
        assert [message.to for message in mail.outbox] == [
            [ADDRESS],
            ["other@example.org"],
            ["other@example.org"],
        ]
        ann.follow_link(link_in(mail.outbox[1]))
        page = ann.post("claim", email_address="other@example.org")
        assert told(page) == ["This address is yours already."]
        assert len(mail.outbox) == 3

    def test_says_what_is_wrong_with_an_address(self, ann):
        ann.register("ann")
        page = ann.post("claim", email_address="nonsense")
        assert page.status_code == 422
        assert list(page.context["claim_form"].errors) == ["email_address"]
        too_long = "".join("!" for _ in range(64)) + "@" + "a" * 60 + ".org"
        page = ann.post("claim", email_address=too_long)
        assert page.status_code == 422
        assert "stream" in told(page)[0]

    def test_changes_the_name(self, ann):
        ann.register("ann")
        page = ann.post("display-name", display_name="  Annie   Oakley ")
        assert told(page) == ["Others see you as Annie Oakley now."]
        assert Account.get("ann").display_name == "Annie Oakley"

    def test_refuses_a_name_that_the_view_knows(self, ann, visitor):
        visitor().register("bob", name="The Boss")
        project()
        page = ann.register("ann", name="the boss")
        assert page.context["form"].errors["display_name"] == [
            "Somebody else has this name. Choose another one."
        ]
        ann.register("ann")
        page = ann.post("display-name", display_name="THE BOSS")
        assert page.status_code == 422
        assert Account.get("ann").display_name == "Ann"

    def test_keeps_the_own_name_free_for_its_owner(self, ann):
        ann.register("ann")
        project()
        assert told(ann.post("display-name", display_name="ANN")) == ["Others see you as ANN now."]

    def test_is_left(self, ann):
        ann.register("ann")
        page = ann.post("leave")
        assert page.context["own_account"] == ""
        assert ann.get("account").status_code == 302


class TestMail:
    @pytest.mark.django_db(transaction=True)
    def test_is_sent_once_the_claim_is_committed(self):
        Account.register.transact("ann", "Ann").unwrap()
        with transaction.atomic():
            claim_address("ann", ADDRESS).unwrap()
            assert mail.outbox == []
        assert [message.to for message in mail.outbox] == [[ADDRESS]]

    @pytest.mark.django_db(transaction=True)
    def test_is_not_sent_when_the_transaction_is_rolled_back(self):
        Account.register.transact("ann", "Ann").unwrap()
        with transaction.atomic():
            claim_address("ann", ADDRESS).unwrap()
            transaction.set_rollback(True)
        assert mail.outbox == []
        assert not EmailOwnership.get(ADDRESS).exists

    def test_that_cannot_be_sent_leaves_the_claim(self, ann, monkeypatch, caplog):
        def broken(**_):
            raise OSError("no mail server")

        monkeypatch.setattr("example_project.registration.triggers.send_mail", broken)
        page = ann.register("ann")
        assert page.status_code == 200
        assert EmailOwnership.get(ADDRESS).claims
        assert "send_confirmation_mail failed on registration.EmailOwnership/" in caplog.text


class TestMailboxes:
    """``Ann@`` and ``ann@`` are two aggregates, and one mailbox."""

    OTHER = "Ann@example.org"

    def test_have_one_owner_however_the_address_is_spelled(self, ann, visitor):
        bob = visitor()
        ann.register("ann")
        bob.register("bob", self.OTHER)
        anns_mail, bobs_mail = mail.outbox
        bob.follow_link(link_in(bobs_mail))
        head = DjangoEventStore().head()
        page = ann.follow_link(link_in(anns_mail))
        assert page.status_code == 422
        assert told(page) == [
            "This address has an owner already: capital letters make no difference."
        ]
        assert DjangoEventStore().head() == head
        assert EmailOwnership.get(ADDRESS).owner is None
        (row,) = OwnedAddress.objects.all()
        assert (row.email_address, row.mailbox, row.account_id) == (self.OTHER, ADDRESS, "bob")

    def test_are_not_claimed_in_vain(self, ann, visitor):
        ann.register("ann")
        ann.follow_link(link_in(mail.outbox[0]))
        page = visitor().register("bob", self.OTHER)
        assert page.status_code == 422
        assert page.context["form"].errors["email_address"] == [
            "This address has an owner already: capital letters make no difference."
        ]
        assert not Account.get("bob").exists
        page = ann.post("claim", email_address=self.OTHER)
        assert list(page.context["claim_form"].errors) == ["email_address"]
        assert len(mail.outbox) == 1


def duplicates():
    """Two accounts that choose one name before the view knows of either, and one more."""
    for account_id, name in (("ann", "Sam"), ("bob", "SAM"), ("cy", "Cy")):
        Account.register.transact(account_id, name).unwrap()


class TestDuplicateNames:
    def test_are_taken_back_from_whoever_came_later(self):
        duplicates()
        project()
        assert [one.account_id for one in DisplayName.objects.duplicates()] == ["bob"]
        assert refuse_duplicate_display_names() == 1
        assert Account.get("ann").display_name == "Sam"
        assert Account.get("bob").display_name == ""
        event = last_event()
        assert event.type == "registration.Account.display_name_refused"
        assert event.metadata["reason"] == "somebody else chose this display name first"

    def test_are_taken_back_once_even_if_the_view_is_behind(self):
        duplicates()
        project()
        assert [refuse_duplicate_display_names() for _ in range(2)] == [1, 0]
        project()
        assert not DisplayName.objects.duplicates().exists()
        assert refuse_duplicate_display_names() == 0

    def test_are_none_when_the_first_has_left_the_name(self):
        duplicates()
        Account.choose_display_name.transact("ann", "Samantha").unwrap()
        project()
        assert refuse_duplicate_display_names() == 0

    def test_make_the_page_ask_for_another_name(self, ann, visitor):
        visitor().register("bob", name="Sam")
        ann.register("ann", "other@example.org", name="Sam")
        project()
        refuse_duplicate_display_names()
        assert "somebody else's a moment earlier" in ann.get("account").content.decode()
        project()
        page = ann.post("display-name", display_name="Sam")
        assert page.status_code == 422
        ann.post("display-name", display_name="Sammy")
        assert Account.get("ann").display_name == "Sammy"


def history():
    """A bit of everything."""
    duplicates()
    for account_id, address in (
        ("ann", ADDRESS),
        ("bob", ADDRESS),
        ("cy", ADDRESS),
        ("bob", "bob@example.org"),
        ("cy", "cy@example.org"),
    ):
        claim_address(account_id, address).unwrap()
    (claim,) = EmailOwnership.get("bob@example.org").claims
    EmailOwnership.expire_claim.transact("bob@example.org", claim.claim_id).unwrap()
    secret = secret_of(EmailOwnership.get(ADDRESS).claims[0].claim_id)
    EmailOwnership.confirm.transact(ADDRESS, "ann", secret).unwrap()
    Account.refuse_display_name.transact("bob", "SAM").unwrap()


def rows():
    """Return what the views show, without ids drawn at random."""
    return {
        "accounts": list(
            RegisteredAccount.objects.order_by("pk").values_list(
                "account_id", "display_name", "email_address", "registered_at"
            )
        ),
        "addresses": list(OwnedAddress.objects.order_by("pk").values_list()),
        "claims": list(OpenClaim.objects.order_by("pk").values_list()),
        "names": list(DisplayName.objects.order_by("pk").values_list("account_id", "folded")),
    }


class TestProjections:
    def test_show_what_has_happened(self):
        history()
        project()
        found = rows()
        assert [row[:3] for row in found["accounts"]] == [
            ("ann", "Sam", ADDRESS),
            ("bob", "", ""),
            ("cy", "Cy", ""),
        ]
        assert found["addresses"] == [(ADDRESS, ADDRESS, "ann")]
        assert [row[1:3] for row in found["claims"]] == [("cy@example.org", "cy")]
        assert found["names"] == [("ann", "sam"), ("cy", "cy")]

    def test_are_the_same_after_a_rebuild(self):
        history()
        project()
        before = rows()
        for projection in PROJECTIONS:
            rebuild(projection())
        assert rows() == before

    def test_send_no_mail_in_a_rebuild(self, django_capture_on_commit_callbacks):
        with django_capture_on_commit_callbacks(execute=True):
            history()
        sent = len(mail.outbox)
        with django_capture_on_commit_callbacks(execute=True):
            rebuild(OpenClaims())
        assert (sent, len(mail.outbox)) == (5, 5)


class TestSettling:
    def test_says_what_it_would_do(self, capsys):
        duplicates()
        claim_address("ann", ADDRESS).unwrap()
        project()
        call_command("settle_registrations", hours=0, dry_run=True)
        assert capsys.readouterr().out == "1 claims would expire, 1 display names be taken back\n"
        assert Account.get("bob").display_name == "SAM"
        assert EmailOwnership.get(ADDRESS).claims

    def test_does_it(self, capsys):
        duplicates()
        claim_address("ann", ADDRESS).unwrap()
        project()
        call_command("settle_registrations", "--hours=0")
        assert capsys.readouterr().out == "1 claims have expired, 1 display names are taken back\n"
        assert EmailOwnership.get(ADDRESS).claims == ()
        assert Account.get("bob").display_name == ""

    def test_leaves_young_claims(self, capsys):
        Account.register.transact("ann", "Ann").unwrap()
        claim_address("ann", ADDRESS).unwrap()
        project()
        call_command("settle_registrations", "--hours=1")
        assert EmailOwnership.get(ADDRESS).claims

    def test_counts_only_what_was_still_open(self):
        Account.register.transact("ann", "Ann").unwrap()
        claimed = claim_address("ann", ADDRESS)
        assert isinstance(claimed, Ok)
        project()
        secret = secret_of(claimed.events[0].claim_id)
        EmailOwnership.confirm.transact(ADDRESS, "ann", secret).unwrap()
        assert expire_claims(timezone.now() + timedelta(days=1)) == 0

    @pytest.mark.parametrize("hours", ["-1", "nan", "inf", "soon"])
    def test_refuses_hours_that_are_none(self, hours):
        with pytest.raises(CommandError):
            call_command("settle_registrations", f"--hours={hours}")


def test_the_admin_shows_the_rows_and_changes_none(admin_client):
    history()
    project()
    for model in ("registeredaccount", "ownedaddress", "openclaim", "displayname"):
        page = admin_client.get(reverse(f"admin:registration_{model}_changelist"))
        assert page.status_code == 200
        assert admin_client.get(reverse(f"admin:registration_{model}_add")).status_code == 403
    row = reverse("admin:registration_registeredaccount_change", args=("ann",))
    assert admin_client.get(row).status_code == 200
    assert admin_client.post(row, {"display_name": "Eve"}).status_code == 403
