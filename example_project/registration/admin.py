"""The projections' rows, read-only: they change by events alone."""

from django.contrib import admin

from rill_django.admin import ProjectionAdmin

from .models import DisplayName, OpenClaim, OwnedAddress, RegisteredAccount


@admin.register(RegisteredAccount)
class RegisteredAccountAdmin(ProjectionAdmin):
    """Accounts."""

    list_display = ("account_id", "display_name", "email_address", "registered_at")
    search_fields = ("account_id", "display_name", "email_address")


@admin.register(OwnedAddress)
class OwnedAddressAdmin(ProjectionAdmin):
    """Addresses that have an owner: the inline projection, up to date at any moment."""

    list_display = ("email_address", "account_id", "mailbox")
    search_fields = ("email_address", "account_id")


@admin.register(OpenClaim)
class OpenClaimAdmin(ProjectionAdmin):
    """Claims that wait for a confirmation."""

    list_display = ("email_address", "account_id", "claimed_at")
    search_fields = ("email_address", "account_id")


@admin.register(DisplayName)
class DisplayNameAdmin(ProjectionAdmin):
    """Display names; for a short time, two accounts may have the same."""

    list_display = ("name", "account_id", "position")
    search_fields = ("name", "account_id")
