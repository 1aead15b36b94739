"""The front page."""

from __future__ import annotations

from django.http import HttpRequest, HttpResponse
from django.shortcuts import render
from django.views.decorators.http import require_safe

from example_project.home.figures import read_figures


@require_safe
def home(request: HttpRequest) -> HttpResponse:
    """Show what there is, as far as the projections have come."""
    return render(request, "home/home.html", {"figures": read_figures()})
