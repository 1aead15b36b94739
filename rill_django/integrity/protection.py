"""Whether the database refuses to change the log."""

from __future__ import annotations

from rill_django.integrity.findings import Damage, Findings
from rill_django.store.orm import DjangoEventStore


def check_protection(store: DjangoEventStore, findings: Findings) -> None:
    """Note each guard that is missing, disabled or changed."""
    for number, fault in enumerate(store.faults_of_guards()):
        findings.note(Damage.UNPROTECTED, number, fault)
