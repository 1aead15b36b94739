"""What is the same whichever database the suite is run on: the run on SQLite is enough."""

import pytest
from django.db import connection

once = pytest.mark.skipif(
    connection.vendor != "sqlite", reason="the same on every database: it is run on SQLite"
)
