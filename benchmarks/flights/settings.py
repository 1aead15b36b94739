"""Settings of a project with the flights of the example project, on a database named by the environment."""

from benchmarks.settings import *  # noqa: F403

INSTALLED_APPS = ["rill_django", "example_project.flights", "benchmarks.flights.boards"]
