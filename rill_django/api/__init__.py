"""Commands, events and streams over HTTP, on Django REST framework.

Include ``rill_django.api.urls``. Nothing else of the library needs the framework.

Raises:
    ImproperlyConfigured: the framework is not installed.
"""

from importlib.util import find_spec

from django.core.exceptions import ImproperlyConfigured

if find_spec("rest_framework") is None:
    raise ImproperlyConfigured(
        "rill_django.api needs Django REST framework: pip install 'rill-django[api]', and add "
        "'rest_framework' to INSTALLED_APPS."
    )
