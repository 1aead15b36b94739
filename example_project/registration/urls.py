"""Addresses of the pages."""

from django.urls import path

from . import views

app_name = "registration"

urlpatterns = [
    path("", views.index, name="index"),
    path("account/", views.account, name="account"),
    path("account/claim/", views.claim, name="claim"),
    path("account/display-name/", views.choose_display_name, name="display-name"),
    path("account/leave/", views.leave, name="leave"),
    path("confirm/", views.confirm, name="confirm"),
]
