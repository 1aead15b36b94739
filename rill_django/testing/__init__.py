"""Tools for testing: scenarios, partial matching, a repository in memory, projections at once."""

from rill_django.domain.registry import isolated_registry
from rill_django.projections.registry import isolated_projections
from rill_django.testing.cases import ProjectionsMixin
from rill_django.testing.following import projections_up_to_date
from rill_django.testing.matching import Mismatch, assert_matches, matches
from rill_django.testing.memory import memory_runtime
from rill_django.testing.scenario import Scenario, given
from rill_django.triggers import isolated_triggers

__all__ = [
    "Mismatch",
    "ProjectionsMixin",
    "Scenario",
    "assert_matches",
    "given",
    "isolated_projections",
    "isolated_registry",
    "isolated_triggers",
    "matches",
    "memory_runtime",
    "projections_up_to_date",
]
