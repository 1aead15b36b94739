"""Rows that the projections keep; nobody else writes to them. They can be rebuilt from the log."""

from __future__ import annotations

from datetime import datetime

from django.db import models
from django.utils.translation import gettext_lazy as _

from .domain.display_name import LONGEST_DISPLAY_NAME, folded_display_name
from .domain.email_address import LONGEST_EMAIL_ADDRESS, mailbox_of


class RegisteredAccount(models.Model):
    """An account as the pages and the admin show it."""

    account_id = models.CharField(_("account"), max_length=30, primary_key=True)
    display_name = models.CharField(_("display name"), max_length=LONGEST_DISPLAY_NAME, blank=True)
    email_address = models.CharField(
        _("confirmed e-mail address"), max_length=LONGEST_EMAIL_ADDRESS, blank=True
    )
    registered_at = models.DateTimeField(_("registered at"), db_index=True)

    class Meta:
        verbose_name = _("registered account")
        verbose_name_plural = _("registered accounts")
        ordering = ("-registered_at",)

    def __str__(self) -> str:
        return self.display_name or self.account_id


class OwnedAddressQuerySet(models.QuerySet["OwnedAddress"]):
    """Questions about mailboxes that have an owner."""

    def spelling_of(self, email_address: str) -> str | None:
        """Return the address by which a mailbox has an owner; ``None``: it has none."""
        owned = self.filter(mailbox=mailbox_of(email_address))
        return owned.values_list("email_address", flat=True).first()


class OwnedAddress(models.Model):
    """An address that an account has proved to be its own.

    Commands write these rows themselves, so that the constraint is a rule of the domain: a command that
    would break it is rejected, and its event never happens.
    """

    email_address = models.CharField(
        _("e-mail address"), max_length=LONGEST_EMAIL_ADDRESS, primary_key=True
    )
    # Letters that fold into several take up more room in the stream's name, which has its own bound.
    mailbox = models.CharField(_("mailbox"), max_length=LONGEST_EMAIL_ADDRESS)
    account_id = models.CharField(_("account"), max_length=30, db_index=True)

    objects = OwnedAddressQuerySet.as_manager()

    class Meta:
        verbose_name = _("owned address")
        verbose_name_plural = _("owned addresses")
        ordering = ("email_address",)
        constraints = (
            models.UniqueConstraint(fields=("mailbox",), name="registration_one_owner_a_mailbox"),
        )

    def __str__(self) -> str:
        return self.email_address


class OpenClaimQuerySet(models.QuerySet["OpenClaim"]):
    """Questions about open claims."""

    def made_before(self, time: datetime) -> OpenClaimQuerySet:
        """Keep the claims made before a point in time, the oldest first."""
        return self.filter(claimed_at__lt=time).order_by("claimed_at")


class OpenClaim(models.Model):
    """A claim to an address that is neither confirmed nor expired."""

    claim_id = models.CharField(_("claim"), max_length=64, primary_key=True)
    email_address = models.CharField(
        _("e-mail address"), max_length=LONGEST_EMAIL_ADDRESS, db_index=True
    )
    account_id = models.CharField(_("account"), max_length=30, db_index=True)
    claimed_at = models.DateTimeField(_("claimed at"), db_index=True)

    objects = OpenClaimQuerySet.as_manager()

    class Meta:
        verbose_name = _("open claim")
        verbose_name_plural = _("open claims")
        ordering = ("-claimed_at",)

    def __str__(self) -> str:
        return f"{self.account_id}: {self.email_address}"


class DisplayNameQuerySet(models.QuerySet["DisplayName"]):
    """Questions about who was first."""

    def of_others(self, name: str, account_id: str) -> DisplayNameQuerySet:
        """Keep the choices of this name, or one that looks like it, by other accounts."""
        return self.filter(folded=folded_display_name(name)).exclude(account_id=account_id)

    def duplicates(self) -> DisplayNameQuerySet:
        """Keep the choices that came after another account's choice of the same name."""
        earlier = DisplayName.objects.filter(
            folded=models.OuterRef("folded"), position__lt=models.OuterRef("position")
        )
        return self.filter(models.Exists(earlier)).order_by("position")


class DisplayName(models.Model):
    """The name that an account has chosen, and its choice's place in the log.

    That two accounts can be in here with one name is the point: a unique constraint would stop the
    projection, since the events have happened. The log's order says who was first, in every rebuild.
    `OwnedAddress` does it the other way.
    """

    account_id = models.CharField(_("account"), max_length=30, primary_key=True)
    name = models.CharField(_("name"), max_length=LONGEST_DISPLAY_NAME)
    folded = models.CharField(
        _("name for comparison"), max_length=LONGEST_DISPLAY_NAME, db_index=True
    )
    position = models.BigIntegerField(_("position in the log"))

    objects = DisplayNameQuerySet.as_manager()

    class Meta:
        verbose_name = _("display name")
        verbose_name_plural = _("display names")
        ordering = ("folded", "position")

    def __str__(self) -> str:
        return self.name
