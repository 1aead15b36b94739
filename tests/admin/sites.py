"""Admin sites of a project's own, with more or less of ours on each; and their URLs."""

from django.contrib import admin
from django.contrib.admin import AdminSite, ModelAdmin
from django.urls import path

from rill_django.admin import (
    CheckpointAdmin,
    EventAdmin,
    ParkedEventAdmin,
    ProjectionAdmin,
    SkippedEventAdmin,
    register,
)
from rill_django.models import Checkpoint, Event, ParkedEvent, SkippedEvent
from tests.bank.models import Balance


class BalanceAdmin(ProjectionAdmin):
    list_display = ("number", "owner", "events")
    fields = readonly_fields = ("number", "owner", "events")

    @admin.display(description="events")
    def events(self, row):
        return self.events_link(row, f"bank.Account/{row.number}")


class ClosedEventAdmin(EventAdmin):
    """Nobody may look at the log here, whatever they may elsewhere."""

    def has_view_permission(self, request, obj=None):
        return False


class MyEventAdmin(EventAdmin):
    list_display = (*EventAdmin.list_display, "stream_link")


class MySite(AdminSite):
    site_header = "Mine"
    final_catch_all_view = False


def site_with(name, of_kind=AdminSite, **admins):
    site = of_kind(name)
    models = {"event": Event, "checkpoint": Checkpoint, "parked": ParkedEvent}
    models |= {"skipped": SkippedEvent, "balance": Balance}
    for model, of_model in admins.items():
        site.register(models[model], of_model)
    return site


HELD = {"parked": ParkedEventAdmin, "skipped": SkippedEventAdmin}

SITES = {
    "everything": site_with("everything", balance=BalanceAdmin),
    "of-a-class-of-its-own": site_with("of-a-class-of-its-own", MySite, event=MyEventAdmin),
    "without-the-log": site_with(
        "without-the-log", checkpoint=CheckpointAdmin, balance=BalanceAdmin, **HELD
    ),
    "the-log-alone": site_with("the-log-alone", event=EventAdmin),
    "projections-alone": site_with("projections-alone", checkpoint=CheckpointAdmin),
    "held-alone": site_with("held-alone", **HELD),
    "rows-alone": site_with("rows-alone", balance=BalanceAdmin),
    "with-others": site_with(
        "with-others", event=ModelAdmin, checkpoint=ModelAdmin, balance=BalanceAdmin, **HELD
    ),
    "with-a-closed-log": site_with(
        "with-a-closed-log",
        event=ClosedEventAdmin,
        checkpoint=CheckpointAdmin,
        balance=BalanceAdmin,
        **HELD,
    ),
}
register(SITES["everything"])
register(SITES["of-a-class-of-its-own"])

urlpatterns = [path(f"{name}/", site.urls) for name, site in SITES.items()]
