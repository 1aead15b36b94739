"""``If-Match`` and ``If-None-Match``, as RFC 9110 has them: the version is the entity tag."""

import pytest
from django.http import HttpRequest
from rest_framework.request import Request

from rill_django.api.parameters import BadParameter
from rill_django.api.preconditions import OutOfDate, Precondition
from tests.bank.domain import Account


class At:
    """Stands for an aggregate at a version."""

    stream = "bank.Account/1"

    def __init__(self, version):
        self.version = version


def precondition(**headers):
    request = HttpRequest()
    for name, value in headers.items():
        request.META[f"HTTP_{name.upper()}"] = value
    return Precondition(Request(request))


def holds(version, **headers):
    try:
        precondition(**headers).guard(At(version))
    except OutOfDate:
        return False
    return True


@pytest.mark.parametrize(
    ("given", "version", "expected"),
    [
        ('"3"', 3, True),
        ('"3"', 4, False),
        (' "3"\t', 3, True),
        ('"03"', 3, False),
        ('"3 "', 3, None),
        ('"-1"', -1, True),
        ('"-1"', 0, False),
        # A list: one of them will do.
        ('"1", "3"', 3, True),
        ('"1","3"', 1, True),
        ('"1" , "3"', 2, False),
        (', "1",, "3",', 3, True),
        ('"a,b", "3"', 3, True),
        # Weak tags match nothing here, neither do those of somebody else's.
        ('W/"3"', 3, False),
        ('W/"1", "3"', 3, True),
        ('"abc"', 3, False),
        ('""', 3, False),
        ('"\xe9"', 3, False),
        ('"' + "9" * 5_000 + '"', 3, False),
        # Any that there is.
        ("*", 3, True),
        (" * ", 0, True),
        ("*", -1, False),
        # Malformed.
        *((given, 3, None) for given in ("3", "abc", "", " ", ",", '"3', '3"', "'3'", '"3" "4"')),
        *(
            (given, 3, None)
            for given in ('w/"3"', "W/3", '*, "3"', '"3", *', '"a"b"', '"\0"', '"\u0663"')
        ),
        ("9" * 5_000, 3, None),
    ],
)
def test_if_match(given, version, expected):
    if expected is None:
        with pytest.raises(BadParameter, match=r"^If-Match must be the version") as caught:
            precondition(if_match=given)
        assert caught.value.field == "If-Match"
        assert len(str(caught.value)) < 250
    else:
        assert holds(version, if_match=given) is expected


@pytest.mark.parametrize(
    ("given", "version", "expected"),
    [
        ("*", -1, True),
        ("*", 0, False),
        ('"3"', 3, False),
        ('W/"3"', 3, False),
        ('"1", "2"', 3, True),
    ],
)
def test_if_none_match(given, version, expected):
    assert holds(version, if_none_match=given) is expected


def test_both_have_to_hold():
    assert holds(3, if_match="*", if_none_match='"2"')
    assert not holds(3, if_match="*", if_none_match='"3"')
    assert not holds(3, if_match='"2"', if_none_match='"2"')


def test_nothing_is_asked_without_them():
    assert not precondition().is_there
    assert precondition().version is None
    assert precondition(if_match='"3"').version == 3
    assert precondition(if_match='"3", "4"').version is None


@pytest.fixture
def send(admin_client):
    def send(name, headers, **fields):
        path = f"/api/commands/bank.Account.{name}/"
        kind = "application/json"
        return admin_client.post(
            path, {"number": "1", **fields}, content_type=kind, headers=headers
        )

    return send


@pytest.mark.django_db
def test_a_list_is_carried_out_at_one_of_its_versions(send):
    Account.open.transact("1", "Ann").unwrap()
    assert send("deposit", {"If-Match": '"5", "0"'}, amount="1").status_code == 200
    refused = send("deposit", {"If-Match": '"5", "0"'}, amount="1")
    assert refused.status_code == 412
    assert refused.json()["actual_version"] == 1
    assert "expected_version" not in refused.json()
    assert Account.get("1").balance == 1


@pytest.mark.django_db
def test_a_star_asks_for_a_stream_that_is_there(send):
    assert send("open", {"If-Match": "*"}, owner="Ann").status_code == 412
    assert not Account.get("1").exists
    assert send("open", {"If-None-Match": "*"}, owner="Ann").status_code == 200
    assert send("open", {"If-None-Match": "*"}, owner="Ann").status_code == 412
    assert send("deposit", {"If-Match": "*"}, amount="1").status_code == 200


@pytest.mark.django_db
@pytest.mark.parametrize("headers", [{"If-None-Match": "*"}, {"If-Match": '"-1", "7"'}])
def test_a_repetition_gets_its_answer_though_the_stream_has_moved(send, headers):
    headers = {**headers, "Idempotency-Key": "k"}
    first, again = [send("open", headers, owner="Ann") for _ in range(2)]
    assert (first.status_code, again.status_code) == (200, 200)
    assert again["Idempotency-Replayed"] == "true"
    assert again.json() == first.json()


@pytest.mark.django_db
def test_what_does_not_hold_leaves_its_key_free(send):
    headers = {"If-Match": "*", "Idempotency-Key": "k"}
    assert send("open", headers, owner="Ann").status_code == 412
    assert send("open", {"Idempotency-Key": "k"}, owner="Ann").status_code == 200
