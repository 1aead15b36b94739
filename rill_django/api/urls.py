"""Routes of the API; include them under any prefix."""

from __future__ import annotations

from django.urls import path

from rill_django.api.views import CommandView, EventsView, RootView, StreamView

app_name = "rill_django"

urlpatterns = [
    path("", RootView.as_view(), name="root"),
    path("commands/<str:type>/", CommandView.as_view(), name="command"),
    path("events/", EventsView.as_view(), name="events"),
    path("streams/<path:stream>/", StreamView.as_view(), name="stream"),
]
