"""``manage.py prune_idempotency_keys``: forgets old answers."""

from __future__ import annotations

from typing import Any

from django.core.management.base import BaseCommand

from rill_django.management.signals import Interruptible
from rill_django.store.orm import DjangoEventStore


class Command(Interruptible, BaseCommand):
    """A shell round `Answers.prune`."""

    help = "Forgets the answers to idempotency keys whose time is over. Run it once a day."

    def handle(self, *args: Any, **options: Any) -> None:
        """See Django."""
        number = DjangoEventStore().answers.prune()
        self.stdout.write(self.style.SUCCESS(f"{number:,} answers forgotten."))
