"""Names of types: stable, readable, and safe in a stream's name."""

from __future__ import annotations

import re

from .errors import DefinitionError

_TYPE_NAME = re.compile(r"[A-Za-z0-9_.-]{1,200}")


def app_label_of(module: str) -> str:
    """Return the app that a module belongs to: ``shop.bank.domain.accounts`` is of ``bank``."""
    parts = module.split(".")
    if "domain" in parts[1:]:
        return parts[len(parts) - 1 - parts[::-1].index("domain") - 1]
    return parts[-2] if len(parts) > 1 else parts[0]


def refuse_type_name(name: str, where: str) -> None:
    """Raise `DefinitionError` for a name that the log, or a stream's name, cannot hold."""
    if not _TYPE_NAME.fullmatch(name):
        raise DefinitionError(
            f"{where}: {name!r} cannot be a type name. Give it one of at most 200 ASCII letters, "
            "digits, '_', '-' and '.', e.g. name='bank.Account' or name='opened'."
        )
