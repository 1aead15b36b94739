"""For tests that are classes."""

from __future__ import annotations

import unittest
from collections.abc import Sequence
from typing import TYPE_CHECKING, ClassVar

from rill_django.testing.following import forget_aggregates, projections_up_to_date

if TYPE_CHECKING:
    _Base = unittest.TestCase
else:
    _Base = object


class ProjectionsMixin(_Base):
    """Mix into a ``TestCase``, and projections are up to date after each command of a test.

    ::

        class TestAccounts(ProjectionsMixin, TestCase):
            def test_opening(self):
                Account.open.transact("1", owner="Ann")
                self.assertEqual(Balance.objects.get().owner, "Ann")

    It begins with ``setUp``. After commands in ``setUpTestData`` call `catch_up` there.

    Attributes:
        followed_projections: names of the projections; default: all.
    """

    followed_projections: ClassVar[Sequence[str]] = ()

    def run(self, result: unittest.TestResult | None = None) -> unittest.TestResult | None:
        """See `unittest`."""
        forget_aggregates()
        with projections_up_to_date(*self.followed_projections):
            return super().run(result)
