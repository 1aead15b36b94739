"""Telling a lost connection from an error of somebody's making."""

from __future__ import annotations

from django.db import Error, connections

from rill_django.domain.tracebacks import causes_of


class ConnectionLost(Exception):
    """The database is gone, which is nobody's handler's fault."""


def raise_if_connection_is_lost(using: str, error: Exception) -> None:
    """Look whether the connection was the reason for an error.

    Raises:
        ConnectionLost: it was.
    """
    if not any(isinstance(cause, Error) for cause in causes_of(error)):
        return
    connection = connections[using]
    if connection.connection is None or not connection.is_usable():
        raise ConnectionLost(str(error)) from error
