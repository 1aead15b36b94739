"""The ``RILL`` setting."""

import pytest
from django.core.exceptions import ImproperlyConfigured
from msgspec.structs import fields

from rill_django.conf import Configuration, configuration


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
        ({"UNKNOWN_EVENTS": "ignored"}, "UNKNOWN_EVENTS"),
        ({"UNKNOWN_EVENTS": [3]}, "UNKNOWN_EVENTS"),
        ({"API_PERMISSIONS": "a.B"}, "API_PERMISSIONS.*array"),
        ({"API_PERMISSIONS": None}, "API_PERMISSIONS"),
        ({"API_PERMISSION": ["a.B"]}, "Did you mean 'API_PERMISSIONS'"),
        ({"api_permissions": ["a.B"]}, "Did you mean 'API_PERMISSIONS'"),
        ({"Q": 1}, "It may have: CACHE_SIZE, "),
        ({3: 1}, "no 3"),
        ({"BATCH_SIZE": True}, "BATCH_SIZE"),
        ({"BATCH_SIZE": 10**12}, "BATCH_SIZE"),
        ({"POLL_INTERVAL": float("nan")}, "POLL_INTERVAL"),
        ({"POLL_INTERVAL": float("inf")}, "POLL_INTERVAL"),
        ({"IDEMPOTENCY_SECONDS": float("inf")}, "IDEMPOTENCY_SECONDS"),
        ({"IDEMPOTENCY_SECONDS": 0}, "IDEMPOTENCY_SECONDS"),
        ([], "must be a dict"),
        (None, "must be a dict"),
    ],
)
def test_a_mistake_is_named(settings, given, complaint):
    settings.RILL = given
    with pytest.raises(ImproperlyConfigured, match=complaint):
        configuration()


def test_all_mistakes_are_named_at_once(settings):
    settings.RILL = {"CACHE_SIZE": -1, "POLL_INTERVALL": 1, "BATCH_SIZE": "9"}
    with pytest.raises(ImproperlyConfigured) as caught:
        configuration()
    for name in ("CACHE_SIZE", "'POLL_INTERVAL'", "BATCH_SIZE"):
        assert name in str(caught.value)


@pytest.mark.parametrize("name", [one.encode_name for one in fields(Configuration)])
@pytest.mark.parametrize("value", [object(), None, -1, b"x", "x", float("nan"), {"a": 1}, 10**30])
def test_no_setting_takes_what_it_cannot_be(settings, name, value):
    settings.RILL = {name: value}
    if name == "ALLOW_FLUSH" and value is None:
        assert configuration().allow_flush is None
        return
    with pytest.raises(ImproperlyConfigured, match=name):
        configuration()
