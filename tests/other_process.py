"""What a program says in a process of its own, with Django set up on the test's database."""

import os
import subprocess
import sys

from django.db import connection

_ON_THE_TESTS_DATABASE = """
import os, sys
os.environ["DJANGO_SETTINGS_MODULE"] = "tests.settings"
from django.conf import settings
settings.DATABASES["default"]["NAME"] = os.environ["RILL_TEST_NAME"]
import django
django.setup()
"""


def lines_of(program, *, given):
    """Return the lines that a program prints, with other hashes of texts and an empty memory.

    Args:
        given: what it reads.
    """
    done = subprocess.run(
        [sys.executable, "-c", _ON_THE_TESTS_DATABASE + program],
        input=given,
        env={
            **os.environ,
            "RILL_TEST_NAME": str(connection.settings_dict["NAME"]),
            "PYTHONHASHSEED": "4711",
        },
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    return done.stdout.splitlines()
