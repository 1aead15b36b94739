"""Keys that clients choose, kept apart from those of other users."""

from types import SimpleNamespace

from django.http import HttpRequest
from rest_framework.request import Request

from rill_django.api.views import _idempotency_key
from rill_django.store.answers import MAX_KEY_LENGTH


def test_users_whose_keys_look_alike_with_their_own_in_front_are_told_apart():
    pairs = [
        ("1", "2:k"),
        ("1:2", "k"),
        ("x" * 250, "k"),
        ("x" * 251, "k"),
        ("ann@here", "k" * 200),
    ]
    users = [Request(HttpRequest()) for _ in pairs]
    for request, (pk, key) in zip(users, pairs, strict=True):
        request.user = SimpleNamespace(pk=pk)
        request._request.META["HTTP_IDEMPOTENCY_KEY"] = key
    keys = {_idempotency_key(request) for request in users}
    assert len(keys) == len(pairs)
    assert all(len(key) <= MAX_KEY_LENGTH for key in keys)
