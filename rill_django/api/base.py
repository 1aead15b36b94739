"""What the views have in common."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from django.db import DataError, connections, transaction
from rest_framework.exceptions import AuthenticationFailed
from rest_framework.permissions import BasePermission
from rest_framework.request import Request
from rest_framework.response import Response
from rest_framework.views import APIView

from rill_django.api.permissions import permission_classes
from rill_django.api.problems import PROBLEM_MEDIA_TYPE, problem_handler


class RillView(APIView):
    """Closed by ``RILL["API_PERMISSIONS"]``; answers errors with problem details, on these views only."""

    def get_permissions(self) -> list[BasePermission]:
        """See Django REST framework.

        Raises:
            ImproperlyConfigured: see `permission_classes`; nobody gets in.
        """
        return [permission() for permission in permission_classes()]

    def perform_authentication(self, request: Request) -> None:
        """See Django REST framework.

        Raises:
            AuthenticationFailed: also where the database cannot even look for such credentials.
        """
        try:
            super().perform_authentication(request)
        except DataError:
            raise AuthenticationFailed from None

    def get_exception_handler(self) -> Callable[[Exception, dict[str, Any]], Response | None]:
        """See Django REST framework."""
        return problem_handler

    def finalize_response(self, request: Request, response: Any, *args: Any, **kwargs: Any) -> Any:
        """See Django REST framework."""
        final = super().finalize_response(request, response, *args, **kwargs)
        if getattr(final, "exception", False) and final.accepted_renderer.format == "json":
            final.content_type = PROBLEM_MEDIA_TYPE
        return final


class ReadingView(RillView):
    """Reads outside any transaction of the request, so that it may help to give events their positions."""

    @classmethod
    def as_view(cls, **initkwargs: Any) -> Any:
        """See Django REST framework. Whichever database holds the log, ``ATOMIC_REQUESTS`` is left out."""
        view = super().as_view(**initkwargs)
        for alias in connections:
            view = transaction.non_atomic_requests(using=alias)(view)
        return view
