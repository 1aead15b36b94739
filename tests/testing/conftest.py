"""The plugin's fixtures, also where the package is not installed."""

from rill_django.testing.pytest_plugin import (  # noqa: F401
    _no_aggregates_of_other_tests,
    catch_up,
    memory_runtime,
    projections_up_to_date,
)
