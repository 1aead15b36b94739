"""Keys that clients choose: as they are written, and kept apart from those of other users."""

from types import SimpleNamespace

import pytest
from django.contrib.auth import get_user_model
from django.contrib.auth.models import AnonymousUser, Group
from django.http import HttpRequest
from django.utils.functional import SimpleLazyObject
from rest_framework.request import Request

from rill_django.api.idempotency import idempotency_key, sent_key
from rill_django.api.parameters import BadParameter
from rill_django.store.answers import MAX_KEY_LENGTH, refuse_unusable_key
from tests.bank.domain import Account


def request_of(user, key):
    request = Request(HttpRequest())
    request.user = user
    if key is not None:
        request._request.META["HTTP_IDEMPOTENCY_KEY"] = key
    return request


def signed_in(**attributes):
    return SimpleNamespace(is_authenticated=True, **attributes)


def user_of(kind, **attributes):
    return type(kind, (), {"is_authenticated": True, **attributes})()


def test_users_whose_keys_look_alike_with_their_own_in_front_are_told_apart():
    User = get_user_model()  # noqa: N806
    pairs = [
        (User(pk=1), "2:k"),
        (User(pk="1:2"), "k"),
        (User(pk="x" * 250), "k"),
        (User(pk="x" * 251), "k"),
        (User(pk="ann@here"), "k" * 200),
        (User(pk=2), "k"),
        # Of other kinds, with the same number.
        (user_of("Machine", pk=2), "k"),
        (user_of("Robot", pk=2), "k"),
        (user_of("Robot", pk="x" * 1_000), "k"),
        # Without any number.
        (user_of("Guest", get_username=lambda self: "2"), "k"),
        (user_of("Guest", get_username=lambda self: "3"), "k"),
        (user_of("Guest", pk=None, username="\ud800"), "k"),
        (signed_in(pk=("a", "2")), "k"),
        (signed_in(pk=("a", "3")), "k"),
    ]
    keys = {idempotency_key(request_of(*pair)) for pair in pairs}
    assert len(keys) == len(pairs)
    for key in keys:
        refuse_unusable_key(key)
        assert len(key) <= MAX_KEY_LENGTH


def test_a_lazy_user_is_the_same_as_the_user():
    user = get_user_model()(pk=1)
    lazy = SimpleLazyObject(lambda: user)
    assert idempotency_key(request_of(lazy, "k")) == idempotency_key(request_of(user, "k")) == "1:k"


@pytest.mark.parametrize(
    "user",
    [None, AnonymousUser(), object(), Group(pk=1), signed_in(pk=None), signed_in(username="")],
)
def test_who_is_not_known_has_no_keys(user):
    with pytest.raises(BadParameter, match="Sign in, or leave it out"):
        idempotency_key(request_of(user, "k"))
    assert idempotency_key(request_of(user, None)) is None


@pytest.mark.parametrize(
    ("given", "key"),
    [
        ("k1", "k1"),
        (" k1\t", "k1"),
        ('"k1"', "k1"),
        ('"a, b"', "a, b"),
        (r'"a\"b\\c"', r'a"b\c'),
        ("ключ".encode().decode("latin-1"), "ключ"),
        ("k" * 200, "k" * 200),
        ('"' + "k" * 200 + '"', "k" * 200),
    ],
)
def test_a_key_may_be_in_quotes(given, key):
    assert sent_key(request_of(None, given)) == key


@pytest.mark.parametrize(
    "given",
    [
        *("", " ", '""', '"', '"k', 'k"', '"a"b"', '"a", "b"', "a,b", '"k";a=1', r'"\"', r'"a\b"'),
        *(
            "a\0b",
            '"a\0b"',
            "a\x7fb",
            "a\nb",
            "\ud800",
            "k" * 201,
            '"' + "k" * 201 + '"',
            "k" * 100_000,
        ),
    ],
)
def test_a_malformed_key_is_refused(given):
    with pytest.raises(BadParameter, match=r"^Idempotency-Key must ") as caught:
        sent_key(request_of(None, given))
    assert caught.value.field == "Idempotency-Key"
    assert len(str(caught.value)) < 200


@pytest.mark.django_db
def test_anonymous_clients_do_not_see_each_others_answers(client, settings):
    settings.RILL = {"API_PERMISSIONS": ["rest_framework.permissions.AllowAny"]}

    def send(**headers):
        return client.post(
            "/api/commands/bank.Account.open/",
            {"number": "1", "owner": "Ann"},
            content_type="application/json",
            headers=headers,
        )

    refused = send(**{"Idempotency-Key": "k"})
    assert refused.status_code == 400
    assert refused["Content-Type"] == "application/problem+json"
    assert refused.json()["field"] == "Idempotency-Key"
    assert not Account.get("1").exists
    assert send().status_code == 200


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
