"""The example project's settings, with an app for the tests."""

from example_project.settings import *  # noqa: F403
from example_project.settings import INSTALLED_APPS

INSTALLED_APPS = [*INSTALLED_APPS, "tests.bank"]

RILL = {}  # As it is by default.

# Tests sign many users in; how their passwords are kept does not matter.
PASSWORD_HASHERS = ["django.contrib.auth.hashers.MD5PasswordHasher"]
