"""Checks of the log before work that would leave a part of it out."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from django.core.management.base import BaseCommand

from rill_django.checks_of_the_log import LOG_TAG
from rill_django.store.orm import DjangoEventStore


def check_log(command: BaseCommand, options: Mapping[str, Any]) -> None:
    """Refuse to begin while the log has events that no code knows, unless ``--skip-checks`` is given.

    Django runs checks of databases for ``migrate`` and ``check --database`` only.

    Raises:
        SystemCheckError: with the types, and what to do about each.
    """
    if not options.get("skip_checks"):
        command.check(tags=[LOG_TAG], databases=[DjangoEventStore().using])
