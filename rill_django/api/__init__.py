"""Commands, events and streams over HTTP, on Django REST framework.

Include ``rill_django.api.urls``. Nothing else of the library needs the framework.
"""
