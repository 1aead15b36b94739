"""``Idempotency-Key``: as clients write it, and apart from those of others."""

from __future__ import annotations

import re
from hashlib import blake2s
from typing import Any
from urllib.parse import quote

from django.contrib.auth import get_user_model
from rest_framework.request import Request

from rill_django.api.parameters import BadParameter, shown

HEADER = "Idempotency-Key"
MAX_KEY_LENGTH = 200
LONGEST_OWNER = 54
"""Characters that a user's primary key may have in front of the key that the user has chosen."""

_QUOTED = re.compile(r'"(?P<key>(?:[^"\\]|\\["\\])*)"')


def written_key(request: Request) -> str:
    """Return the header as the client has written it, quotes included; it has to be there."""
    return _as_text(str(request.headers[HEADER])).strip(" \t")


def sent_key(request: Request) -> str | None:
    """Return the key that a client has sent; ``None``: it has sent none.

    It may be in quotes, as a structured field (RFC 9651) and so the IETF's draft has it, or without, as most
    clients send it.

    Raises:
        BadParameter: it is malformed, or too long.
    """
    if HEADER not in request.headers:
        return None
    key = written_key(request)
    if key.startswith('"'):
        quoted = _QUOTED.fullmatch(key)
        if quoted is None:
            raise BadParameter(
                HEADER, f'must be one text in quotes, e.g. "8e03978e"; got {shown(key)}'
            )
        key = re.sub(r"\\(.)", r"\1", quoted["key"])
    elif '"' in key or "," in key:
        raise BadParameter(
            HEADER, f"must be one key, in quotes if it has a comma in it; got {shown(key)}"
        )
    if not key.isprintable():
        raise BadParameter(HEADER, f"must have printable characters only, got {shown(key)}")
    if not 0 < len(key) <= MAX_KEY_LENGTH:
        raise BadParameter(HEADER, f"must have 1 to {MAX_KEY_LENGTH} characters, has {len(key)}")
    return key


def idempotency_key(request: Request) -> str | None:
    """Return the key that answers are remembered under, which nobody else can ask for.

    Raises:
        BadParameter: see `sent_key`; or nobody knows who the client is.
    """
    key = sent_key(request)
    if key is None:
        return None
    owner = _owner(request.user)
    if owner is None:
        # All of them would have one space of keys, and see each other's answers. A session is no owner: the
        # client that needs the key, as it has got no answer, has not got its cookie either.
        raise BadParameter(
            HEADER,
            "must be sent by a user who is signed in: others cannot be told apart. Sign in, or leave it out",
        )
    return f"{owner}:{key}"


def _as_text(header: str) -> str:
    try:
        return header.encode("latin-1").decode()  # Servers take the bytes of a header for Latin-1.
    except UnicodeError:
        return header


def _owner(user: Any) -> str | None:
    """Return a text for a user, without a colon, that no other user has; ``None``: there is none."""
    if not getattr(user, "is_authenticated", False):
        return None
    kind = user.__class__  # Of a lazy object, too.
    known_by, value = "pk", getattr(user, "pk", None)
    if value is None:
        known_by, value = "name", _name_of(user)
    if value is None or value == "":
        return None
    name = quote(str(value), safe="", errors="surrogatepass")
    if known_by == "pk" and isinstance(user, get_user_model()) and len(name) <= LONGEST_OWNER:
        return name
    # Users of two kinds may have the same number.
    whole = f"{kind.__module__}.{kind.__qualname__}/{known_by}/{name}"
    return "!" + blake2s(whole.encode(), digest_size=20).hexdigest()


def _name_of(user: Any) -> Any:
    get_username = getattr(user, "get_username", None)
    return get_username() if callable(get_username) else getattr(user, "username", None)
