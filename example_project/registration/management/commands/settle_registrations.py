"""Time and duplicates: what no single aggregate can notice by itself."""

from argparse import ArgumentParser, ArgumentTypeError
from datetime import timedelta
from typing import Any

from django.core.management.base import BaseCommand
from django.utils import timezone

from example_project.registration.models import DisplayName, OpenClaim
from example_project.registration.services import expire_claims, refuse_duplicate_display_names


class Command(BaseCommand):
    """A thin shell round ``services.py``. Harmless to run often, or twice at once."""

    help = "Expire old claims to e-mail addresses, and take back duplicate display names."

    def add_arguments(self, parser: ArgumentParser) -> None:
        """See Django."""
        parser.add_argument(
            "--hours",
            type=_hours,
            default=48,
            help="age at which a claim expires, in hours (default: %(default)s)",
        )
        parser.add_argument(
            "--dry-run", action="store_true", help="only say what would be done, by the views"
        )

    def handle(self, *, hours: float, dry_run: bool, **options: Any) -> None:
        """See Django."""
        made_before = timezone.now() - timedelta(hours=hours)
        if dry_run:
            claims = OpenClaim.objects.made_before(made_before).count()
            names = DisplayName.objects.duplicates().count()
            self.stdout.write(f"{claims} claims would expire, {names} display names be taken back")
            return
        claims, names = expire_claims(made_before), refuse_duplicate_display_names()
        self.stdout.write(f"{claims} claims have expired, {names} display names are taken back")


def _hours(text: str) -> float:
    try:
        hours = float(text)
        timedelta(hours=hours)
    except (ValueError, OverflowError):
        raise ArgumentTypeError(f"{text!r} is not a number of hours") from None
    if not 0 <= hours < 24 * 365 * 100:
        raise ArgumentTypeError("must be 0 or more, and at most 100 years")
    return hours
