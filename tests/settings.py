"""The example project's settings, with an app for the tests."""

from example_project.settings import *  # noqa: F403
from example_project.settings import DATABASES, INSTALLED_APPS

INSTALLED_APPS = [*INSTALLED_APPS, "tests.bank"]

# As it is by default; but batches are as long as tests say, however busy the machine is.
RILL = {"BATCH_SECONDS": 60}

# Tests sign many users in; how their passwords are kept does not matter.
PASSWORD_HASHERS = ["django.contrib.auth.hashers.MD5PasswordHasher"]

if DATABASES["default"]["ENGINE"] == "django.db.backends.mysql":
    # To empty a table that somebody else's transaction still uses, MySQL would wait for a day.
    DATABASES["default"].setdefault("OPTIONS", {})["init_command"] = (
        "SET SESSION lock_wait_timeout = 60"
    )
