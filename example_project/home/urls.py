"""The front page."""

from __future__ import annotations

from django.urls import path

from example_project.home.views import home

urlpatterns = [path("", home, name="home")]
