"""The ``RILL`` setting."""

import pytest
from django.core.exceptions import ImproperlyConfigured

from rill_django.conf import configuration


def test_everything_has_a_default(settings):
    settings.RILL = {}
    assert configuration().cache_size == 20_000


def test_a_change_is_seen(settings):
    settings.RILL = {"CACHE_SIZE": 5}
    assert configuration().cache_size == 5
    settings.RILL = {"CACHE_SIZE": 6}
    assert configuration().cache_size == 6


@pytest.mark.parametrize(
    ("given", "complaint"),
    [
        ({"CACHE_SIZES": 5}, "CACHE_SIZES"),
        ({"CACHE_SIZE": "5"}, "CACHE_SIZE"),
        ({"CACHE_SIZE": -1}, "CACHE_SIZE"),
        ({"CONFLICT_TRIES": 0}, "CONFLICT_TRIES"),
        ({"BATCH_SIZE": 0}, "BATCH_SIZE"),
        ({"POLL_INTERVAL": -0.1}, "POLL_INTERVAL"),
        ({"UNKNOWN_EVENTS": "ignored"}, "unknown_events|UNKNOWN_EVENTS"),
        ({"UNKNOWN_EVENTS": [3]}, "UNKNOWN_EVENTS"),
        ([], "Expected `object`"),
    ],
)
def test_a_mistake_is_named(settings, given, complaint):
    settings.RILL = given
    with pytest.raises(ImproperlyConfigured, match=complaint):
        configuration()
