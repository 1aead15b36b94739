"""A login for the person who tries the demo."""

from __future__ import annotations

import secrets
from ipaddress import ip_address
from typing import NamedTuple

from django.contrib.auth import get_user_model

USERNAME = "demo"
PASSWORD = "demo"


class Login(NamedTuple):
    """A user's name, and a password as far as it is known."""

    username: str
    password: str | None


def make_login(address: str) -> Login:
    """Make a superuser for the admin, or find the one that a former run has made.

    The password is a fixed one where only this machine can reach the site. On any other ``address`` it is
    a random one, new on each run. A fixed password that somebody has changed is left as it is.
    """
    users = get_user_model()._default_manager
    user = users.filter(**{users.model.USERNAME_FIELD: USERNAME}).first()
    if is_local(address):
        if user is not None and not user.check_password(PASSWORD):
            return Login(USERNAME, None)
        password = PASSWORD
    else:
        password = secrets.token_urlsafe(12)
    if user is None:
        user = users.model(**{users.model.USERNAME_FIELD: USERNAME})
    user.is_staff = user.is_superuser = user.is_active = True
    if not user.check_password(password):
        user.set_password(password)
    user.save()
    return Login(USERNAME, password)


def is_local(address: str) -> bool:
    """Whether a server on this address can be reached from this machine alone."""
    try:
        return ip_address(address).is_loopback
    except ValueError:
        return address == "localhost"
