"""The rules of registration, in plain Python: no test in here has a database."""

import pytest

from example_project.registration.domain import Account, Claim, EmailOwnership
from example_project.registration.domain.account import is_account_id
from example_project.registration.domain.display_name import folded_display_name, is_display_name
from example_project.registration.domain.email_address import (
    is_email_address,
    normalised_email_address,
)
from example_project.registration.domain.email_ownership import MOST_OPEN_CLAIMS, fingerprint_of
from rill_django import Conflict, InvalidMessage, Ok, Rejected, commit
from rill_django.domain.runtime import current
from rill_django.testing import given, isolated_triggers, matches, memory_runtime

ADDRESS = "ann@example.org"
ANN = Account("ann").registered().display_name_chosen("Ann")
BOB = Account("bob").registered().display_name_chosen("Bob")

ANNS_CLAIM = ("ann", "claim-of-ann", fingerprint_of("ann's secret"))
BOBS_CLAIM = ("bob", "claim-of-bob", fingerprint_of("bob's secret"))

UNCLAIMED = EmailOwnership(ADDRESS)
CLAIMED = UNCLAIMED.claimed(*ANNS_CLAIM)
CLAIMED_BY_BOTH = CLAIMED.claimed(*BOBS_CLAIM)
OWNED_BY_ANN = CLAIMED_BY_BOTH.confirmed("ann")

confirmed_by = EmailOwnership.confirmed.message


@pytest.fixture(autouse=True)
def _nobody_is_mailed():
    with isolated_triggers():
        yield


class TestAccount:
    def test_is_registered_with_the_name_that_others_see(self):
        given(Account("ann")).when(Account.register, "Ann").then(
            Account.registered.message("ann"),
            Account.display_name_chosen.message("ann", "Ann"),
        ).then_state(display_name="Ann", exists=True)

    def test_is_registered_once(self):
        given(ANN).when(Account.register, "Ann").then_rejected("already-registered")

    @pytest.mark.parametrize("account_id", ["", "a", "Ann", "-ann", "ann b", "ann\n", "a" * 31])
    def test_has_a_simple_id(self, account_id):
        with pytest.raises(InvalidMessage) as refused:
            Account.register.message(account_id, "Ann")
        assert refused.value.field == "account_id"
        assert not is_account_id(account_id)

    def test_changes_its_name(self):
        given(ANN).when(Account.choose_display_name, "Annie").then(
            Account.display_name_chosen.message("ann", "Annie")
        )

    def test_keeps_its_name_when_it_chooses_the_same_again(self):
        given(ANN).when(Account.choose_display_name, "Ann").then()

    def test_has_no_name_before_it_is_registered(self):
        given(Account("ann")).when(Account.choose_display_name, "Ann").then_rejected(
            "no-such-account", account_id="ann"
        )

    @pytest.mark.parametrize(
        "name", ["", " ", " Ann", "Ann ", "Ann  B", "Ann\tB", "Ann\x00", "a" * 61, "\ufdfa" * 20]
    )
    def test_has_a_name_that_can_be_shown(self, name):
        for command in (Account.register, Account.choose_display_name):
            with pytest.raises(InvalidMessage) as refused:
                given(ANN).when(command, name)
            assert refused.value.field == "display_name"
        assert not is_display_name(name)

    def test_loses_a_name_that_is_refused(self):
        given(ANN).when(Account.refuse_display_name, "Ann").then(
            Account.display_name_refused.message("ann", "Ann")
        ).then_state(display_name="")

    @pytest.mark.parametrize(
        "account",
        [
            Account("ann"),
            ANN.display_name_chosen("Annie"),
            ANN.display_name_refused("Ann"),
        ],
        ids=["never registered", "has chosen another name since", "has lost it already"],
    )
    def test_keeps_what_a_late_refusal_is_not_about(self, account):
        given(account).when(Account.refuse_display_name, "Ann").then()

    def test_with_no_name_is_not_refused_the_empty_one(self):
        given(ANN.display_name_refused("Ann")).when(Account.refuse_display_name, "").then()

    def test_may_choose_a_name_again_after_a_refusal(self):
        given(ANN.display_name_refused("Ann")).when(Account.choose_display_name, "Ann").then(
            Account.display_name_chosen.message("ann", "Ann")
        )


@pytest.mark.parametrize("same", ["ann", "ANN", "\uff21nn"])
def test_names_that_look_the_same_are_the_same(same):
    assert folded_display_name(same) == folded_display_name("Ann")
    assert folded_display_name(same) != folded_display_name("Anna")


class TestClaim:
    def test_waits_for_confirmation(self):
        given(UNCLAIMED, ANN).when(EmailOwnership.claim, *ANNS_CLAIM).then(
            EmailOwnership.claimed.message(ADDRESS, *ANNS_CLAIM)
        ).then_state(owner=None, claims=(Claim("claim-of-ann", "ann", ANNS_CLAIM[2]),))

    def test_by_several_accounts_at_once(self):
        given(CLAIMED, BOB).when(EmailOwnership.claim, *BOBS_CLAIM).then(
            EmailOwnership.claimed.message(ADDRESS, *BOBS_CLAIM)
        )

    def test_by_one_account_again(self):
        again = ("ann", "second-claim", fingerprint_of("another secret"))
        given(CLAIMED, ANN).when(EmailOwnership.claim, *again).then(
            EmailOwnership.claimed.message(ADDRESS, *again)
        )

    def test_of_an_account_that_does_not_exist_is_rejected(self):
        given(UNCLAIMED, BOB).when(EmailOwnership.claim, *ANNS_CLAIM).then_rejected(
            "no-such-account", account_id="ann"
        )

    def test_of_an_address_that_somebody_else_owns_is_rejected(self):
        given(OWNED_BY_ANN, BOB).when(EmailOwnership.claim, *BOBS_CLAIM).then_rejected(
            "address-taken"
        )

    def test_by_the_owner_changes_nothing(self):
        given(OWNED_BY_ANN, ANN).when(EmailOwnership.claim, *ANNS_CLAIM).then()

    def test_waits_while_many_are_open(self):
        """Each is a mail, and the address may be somebody's who wants none."""
        full = CLAIMED
        for number in range(MOST_OPEN_CLAIMS - 1):
            full = full.claimed("bob", f"claim-{number}-of-bob", BOBS_CLAIM[2])
        given(full, ANN).when(
            EmailOwnership.claim, "ann", "another-claim", ANNS_CLAIM[2]
        ).then_rejected("too-many-claims", open=MOST_OPEN_CLAIMS)
        given(full.claim_expired("claim-0-of-bob"), ANN).when(
            EmailOwnership.claim, "ann", "another-claim", ANNS_CLAIM[2]
        ).then(
            EmailOwnership.claimed.message(
                full.email_address, "ann", "another-claim", ANNS_CLAIM[2]
            )
        )

    def test_has_an_id_of_its_own(self):
        same_id = ("bob", "claim-of-ann", BOBS_CLAIM[2])
        given(CLAIMED, BOB).when(EmailOwnership.claim, *same_id).then_rejected(
            "claim-id-used", claim_id="claim-of-ann"
        )

    @pytest.mark.parametrize(
        ("field", "value"),
        [("claim_id", "short"), ("claim_id", "c" * 65), ("fingerprint", "the secret itself")],
    )
    def test_is_refused_when_it_is_malformed(self, field, value):
        wrong = {"account_id": "ann", "claim_id": "claim-of-ann", "fingerprint": "0" * 64}
        with pytest.raises(InvalidMessage) as refused:
            EmailOwnership.claim.message(ADDRESS, **{**wrong, field: value})
        assert refused.value.field == field

    def test_expires(self):
        given(CLAIMED_BY_BOTH).when(EmailOwnership.expire_claim, "claim-of-ann").then(
            EmailOwnership.claim_expired.message(ADDRESS, "claim-of-ann")
        ).then_state(claims=({"account_id": "bob"},))

    @pytest.mark.parametrize(
        "ownership",
        [UNCLAIMED, UNCLAIMED.claimed(*BOBS_CLAIM), OWNED_BY_ANN],
        ids=["no claims", "claims of others", "decided"],
    )
    def test_that_is_not_open_need_not_expire(self, ownership):
        given(ownership).when(EmailOwnership.expire_claim, "claim-of-ann").then()


class TestConfirmation:
    def test_takes_the_address(self):
        given(CLAIMED).when(EmailOwnership.confirm, "ann", "ann's secret").then(
            confirmed_by(ADDRESS, "ann")
        ).then_state(owner="ann")

    def test_of_the_second_claim_comes_first(self):
        given(CLAIMED_BY_BOTH).when(EmailOwnership.confirm, "bob", "bob's secret").then(
            confirmed_by(ADDRESS, "bob")
        )

    def test_makes_all_other_claims_fall_away(self):
        given(CLAIMED_BY_BOTH).when(EmailOwnership.confirm, "ann", "ann's secret").then_state(
            claims=()
        )

    def test_by_any_secret_that_the_account_was_sent(self):
        twice = CLAIMED.claimed("ann", "second-claim", fingerprint_of("another secret"))
        for secret in ("ann's secret", "another secret"):
            given(twice).when(EmailOwnership.confirm, "ann", secret).then(
                confirmed_by(ADDRESS, "ann")
            )

    def test_after_somebody_else_is_rejected(self):
        given(OWNED_BY_ANN).when(EmailOwnership.confirm, "bob", "bob's secret").then_rejected(
            "address-taken"
        )

    def test_twice_by_the_owner_changes_nothing(self):
        given(OWNED_BY_ANN).when(EmailOwnership.confirm, "ann", "ann's secret").then()

    @pytest.mark.parametrize("secret", ["", "wrong", ANNS_CLAIM[2], "bob's secret", "sécret"])
    def test_with_a_wrong_secret_is_rejected(self, secret):
        given(CLAIMED_BY_BOTH).when(EmailOwnership.confirm, "ann", secret).then_rejected(
            "wrong-secret"
        ).then_state(owner=None)

    def test_without_a_claim_is_rejected(self):
        given(CLAIMED).when(EmailOwnership.confirm, "bob", "ann's secret").then_rejected("no-claim")
        given(UNCLAIMED).when(EmailOwnership.confirm, "ann", "ann's secret").then_rejected(
            "no-claim"
        )

    def test_of_an_expired_claim_is_rejected(self):
        expired = CLAIMED.claim_expired("claim-of-ann")
        given(expired).when(EmailOwnership.confirm, "ann", "ann's secret").then_rejected("no-claim")

    def test_is_not_hindered_by_another_claim_that_expired(self):
        expired = CLAIMED_BY_BOTH.claim_expired("claim-of-ann")
        given(expired).when(EmailOwnership.confirm, "bob", "bob's secret").then(
            confirmed_by(ADDRESS, "bob")
        )


class TestEmailAddress:
    @pytest.mark.parametrize(
        ("typed", "normal"),
        [
            ("Ann@Example.ORG", "Ann@example.org"),
            ("  ann@example.org\n", "ann@example.org"),
            ("ann@example.org", "ann@example.org"),
        ],
    )
    def test_is_normalised_in_its_domain(self, typed, normal):
        assert normalised_email_address(typed) == normal

    @pytest.mark.parametrize(
        "address",
        ["ann@example.org", "Ann.B+c@mail.example.co", "zoë@example.org", "a@xn--a-ecp.ru"],
    )
    def test_is_accepted(self, address):
        assert EmailOwnership(address).email_address == address

    @pytest.mark.parametrize(
        "address",
        [
            "",
            "ann",
            "ann@",
            "@example.org",
            "ann@localhost",
            "ann@Example.org",
            "ann@bob@example.org",
            "ann b@example.org",
            "ann@example.org\n",
            "ann@.org",
            "ann@-example.org",
            "ann@münchen.example",
            f"{'a' * 250}@example.org",
        ],
    )
    def test_in_another_form_is_no_key(self, address):
        with pytest.raises(InvalidMessage) as refused:
            EmailOwnership(address)
        assert refused.value.field == "email_address"
        assert not is_email_address(address)


class TestTheWholeStory:
    """As it is told in Rill/Wheel, on a repository in memory."""

    @pytest.fixture(autouse=True)
    def _two_accounts(self):
        with memory_runtime():
            for account_id in ("ann", "bob"):
                Account.register.transact(account_id, account_id.title()).unwrap()
            yield

    def test_the_first_to_confirm_takes_the_address(self):
        for claim in (ANNS_CLAIM, BOBS_CLAIM):
            assert matches(
                EmailOwnership.claim.transact(ADDRESS, *claim),
                {"events": [{"type": "registration.EmailOwnership.claimed"}]},
            )
        bob = EmailOwnership.confirm.transact(ADDRESS, "bob", "bob's secret")
        assert matches(bob, {"aggregate": {"owner": "bob", "version": 2}})
        ann = EmailOwnership.confirm.transact(ADDRESS, "ann", "ann's secret")
        assert matches(ann, {"reason": "address-taken"})
        assert EmailOwnership.get(ADDRESS).owner == "bob"

    def test_two_addresses_know_nothing_of_each_other(self):
        EmailOwnership.claim.transact(ADDRESS, *ANNS_CLAIM).unwrap()
        other = EmailOwnership.confirm.transact("other@example.org", "ann", "ann's secret")
        assert matches(other, {"reason": "no-claim"})

    def test_a_registration_is_seen_by_claims_from_then_on(self):
        claim = ("eve", "claim-of-eve", "0" * 64)
        assert isinstance(EmailOwnership.claim.transact(ADDRESS, *claim), Rejected)
        Account.register.transact("eve", "Eve").unwrap()
        assert isinstance(EmailOwnership.claim.transact(ADDRESS, *claim), Ok)

    def test_two_confirmations_at_once_do_not_both_win(self):
        EmailOwnership.claim.transact(ADDRESS, *ANNS_CLAIM).unwrap()
        EmailOwnership.claim.transact(ADDRESS, *BOBS_CLAIM).unwrap()
        seen_by_both = EmailOwnership.get(ADDRESS)
        assert isinstance(commit(seen_by_both.confirm("bob", "bob's secret")), Ok)
        assert isinstance(commit(seen_by_both.confirm("ann", "ann's secret")), Conflict)

    def test_no_secret_is_in_the_log(self):
        EmailOwnership.claim.transact(ADDRESS, *ANNS_CLAIM).unwrap()
        EmailOwnership.confirm.transact(ADDRESS, "ann", "ann's secret").unwrap()
        log = list(current().repository.store.read().stored())
        assert [event.type.split(".")[-1] for event in log][-2:] == ["claimed", "confirmed"]
        assert not any(b"secret" in event.data + event.metadata for event in log)
