"""Fixtures for the example project."""

import pytest
from django.core.cache import cache


@pytest.fixture(autouse=True)
def nobody_has_asked_for_mails():
    """The site counts them in the cache, for an hour."""
    cache.clear()
