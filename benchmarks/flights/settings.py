"""Settings of a project with the flights of the example project, on a database named by the environment."""

from benchmarks.settings import *  # noqa: F403
from benchmarks.settings import DATABASES

INSTALLED_APPS = ["rill_django", "example_project.flights", "benchmarks.flights.boards"]

# The peer has its statements prepared; so have we, as Django and psycopg document it.
for _database in DATABASES.values():
    if _database["ENGINE"] == "django.db.backends.postgresql":
        _database.setdefault("OPTIONS", {}).update(server_side_binding=True, prepare_threshold=5)
