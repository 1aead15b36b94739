"""Settings of a project that has rill_django and nothing else, on a database named by the environment."""

import json
import os

from benchmarks import DATABASES_VARIABLE

DATABASES = json.loads(os.environ.get(DATABASES_VARIABLE, "{}"))
INSTALLED_APPS = ["rill_django"]
USE_TZ = True
TIME_ZONE = "UTC"
DEFAULT_AUTO_FIELD = "django.db.models.BigAutoField"
# Conflicts are part of a race between processes: they are counted, not logged.
LOGGING_CONFIG = None
