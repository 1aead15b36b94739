"""Settings of a project that has rill_django and nothing else, on a database named by the environment."""

import json
import os

from benchmarks import DATABASES_VARIABLE

DATABASES = json.loads(os.environ.get(DATABASES_VARIABLE, "{}"))
# The peers have their statements prepared, and so has the floor: here in Django's and psycopg's way.
for _database in DATABASES.values():
    if _database["ENGINE"] == "django.db.backends.postgresql":
        _database.setdefault("OPTIONS", {}).update(server_side_binding=True, prepare_threshold=5)
INSTALLED_APPS = ["rill_django"]
USE_TZ = True
TIME_ZONE = "UTC"
DEFAULT_AUTO_FIELD = "django.db.models.BigAutoField"
# Conflicts are part of a race between processes: they are counted, not logged.
LOGGING_CONFIG = None
