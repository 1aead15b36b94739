"""The example project's settings, with an app for the tests."""

from example_project.settings import *  # noqa: F403
from example_project.settings import DATABASES, INSTALLED_APPS

INSTALLED_APPS = [*INSTALLED_APPS, "tests.bank"]

RILL = {}  # As it is by default.

# Tests sign many users in; how their passwords are kept does not matter.
PASSWORD_HASHERS = ["django.contrib.auth.hashers.MD5PasswordHasher"]

if DATABASES["default"]["ENGINE"] == "django.db.backends.mysql":
    # To empty a table that somebody else's transaction still uses, MySQL would wait for a day.
    DATABASES["default"].setdefault("OPTIONS", {})["init_command"] = (
        "SET SESSION lock_wait_timeout = 60"
    )
