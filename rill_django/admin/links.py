"""Addresses of pages on the admin site at hand: of what is registered there, and the user may look at."""

from __future__ import annotations

from typing import Any

from django.contrib.admin import AdminSite
from django.db.models import Model
from django.http import HttpRequest
from django.urls import NoReverseMatch, reverse
from django.utils.html import format_html
from django.utils.safestring import SafeString


class Links:
    """Where pages lead to.

    A project may have several admin sites, with parts of ours on each, or with admins of its own for our
    models. So whoever leads somewhere asks here, and shows plain text where there is no address.

    Args:
        site: that the page belongs to; ``None``: there is nowhere to lead to.
        request: of the user who looks at it.
    """

    def __init__(self, site: AdminSite | None, request: HttpRequest | None) -> None:
        self._site = site
        self._request = request
        self._may_view: dict[type[Model], bool] = {}

    def may_view(self, model: type[Model]) -> bool:
        """Whether a model is on the site, and its admin there lets the user look at it."""
        if model not in self._may_view:
            self._may_view[model] = (
                self._site is not None
                and self._request is not None
                and self._site.is_registered(model)
                and self._site.get_model_admin(model).has_view_permission(self._request)
            )
        return self._may_view[model]

    def to(self, model: type[Model], page: str, *args: Any, **query: str) -> str:
        """Return the address of a page of a model's admin; empty: there is none for this user, on this site.

        Args:
            model: what the page is about.
            page: last part of the name of its URL, e.g. ``change``.
            args: what the URL takes, e.g. the key.
            query: what stands behind the question mark.
        """
        if self._site is None or not self.may_view(model):
            return ""
        return page_url(self._site, model, page, *args, **query)

    def link(self, label: object, url: str) -> SafeString:
        """Return what is shown: a link, or plain text where the address is empty."""
        return format_html('<a href="{}">{}</a>' if url else "{1}", url, label)


def page_url(site: AdminSite, model: type[Model], page: str, *args: Any, **query: str) -> str:
    """Return the address of a page on a site; empty: an admin of somebody else's does not have it."""
    name = f"admin:{model._meta.app_label}_{model._meta.model_name}_{page}"
    try:
        return reverse(name, args=args, query=query or None, current_app=site.name)
    except NoReverseMatch:
        return ""


def attach_links(row: Model, links: Links) -> None:
    """Have a row know where it may lead to: what shows a column of it is told nothing else."""
    row._rill_links = links  # type: ignore[attr-defined]


def links_of(row: Model) -> Links:
    """Return where a row may lead to. From one that none of our pages has fetched: nowhere."""
    found: Links = getattr(row, "_rill_links", _NOWHERE)
    return found


_NOWHERE = Links(None, None)
