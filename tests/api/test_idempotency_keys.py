"""Keys that clients choose, kept apart from those of other users."""

from types import SimpleNamespace

import pytest
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


@pytest.mark.django_db
def test_an_answer_that_was_given_before_is_marked(admin_client):
    def send(name, key=None, **fields):
        headers = {"Idempotency-Key": key} if key else {}
        path = f"/api/commands/bank.Account.{name}/"
        return admin_client.post(path, fields, content_type="application/json", headers=headers)

    accepted = [send("open", "a", number="1", owner="Ann") for _ in range(3)]
    rejected = [send("withdraw", "b", number="1", amount="5") for _ in range(2)]
    reused = [send("withdraw", "a", number="1", amount="5") for _ in range(2)]
    wrong = [send("withdraw", "c", number="1", amount="x") for _ in range(2)]
    without = [send("withdraw", number="1", amount="5") for _ in range(2)]
    assert [one.status_code for one in accepted + rejected] == [200] * 3 + [422] * 2
    marks = [one.headers.get("Idempotency-Replayed") for one in accepted + rejected]
    assert marks == [None, "true", "true", None, "true"]
    assert accepted[0].json() == accepted[1].json()
    assert rejected[0].json() == rejected[1].json()
    for one in reused + wrong + without:
        assert "Idempotency-Replayed" not in one.headers
