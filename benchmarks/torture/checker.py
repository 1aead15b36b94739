"""Compares what was committed with what was delivered. Pure: values in, findings out."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Mapping, Sequence

from benchmarks.torture.ledger import Appended, Entry
from benchmarks.torture.tables import Delivery

Findings = list[str]
"""What is wrong; empty: nothing."""


def check(entries: Iterable[Entry], delivered: Mapping[str, Sequence[Delivery]]) -> Findings:
    """Check a whole run.

    Args:
        entries: of the ledgers of all writers.
        delivered: what took effect, by poller, in the order in which it did.
    """
    committed: dict[str, Appended] = {}
    findings: Findings = []
    for entry in entries:
        if entry.outcome == "wrongly refused":
            findings.append(f"{entry.writer} was refused an append to a stream of its own")
        for event in entry.events:
            committed[event.marker] = event
    for poller, deliveries in delivered.items():
        findings += [f"{poller}: {one}" for one in _check_poller(committed, deliveries)]
    findings += _check_agreement(delivered)
    return findings


def _check_poller(committed: Mapping[str, Appended], deliveries: Sequence[Delivery]) -> Findings:
    return [
        *_check_once(committed, deliveries),
        *_check_positions(deliveries),
        *_check_streams(deliveries),
    ]


def _check_once(committed: Mapping[str, Appended], deliveries: Sequence[Delivery]) -> Findings:
    times = Counter(delivery.marker for delivery in deliveries)
    lost = [marker for marker in committed if marker not in times]
    repeated = [marker for marker, number in times.items() if number > 1]
    ghosts = [marker for marker in times if marker not in committed]
    altered = [
        one.marker
        for one in deliveries
        if one.marker in committed
        and (one.stream, one.version)
        != (committed[one.marker].stream, committed[one.marker].version)
    ]
    return [
        f"{len(wrong)} events {what}, e.g. {wrong[0]}"
        for what, wrong in (
            ("lost", lost),
            ("delivered more than once", repeated),
            ("delivered that were never committed", ghosts),
            ("delivered as another stream's or version's", altered),
        )
        if wrong
    ]


def _check_positions(deliveries: Sequence[Delivery]) -> Findings:
    for wanted, delivery in enumerate(deliveries, start=1):
        if delivery.position != wanted:
            return [f"position {delivery.position} where {wanted} has to be"]
    return []


def _check_streams(deliveries: Sequence[Delivery]) -> Findings:
    versions: Counter[str] = Counter()
    for delivery in deliveries:
        if delivery.version != versions[delivery.stream]:
            wanted = versions[delivery.stream]
            return [f"{delivery.stream}@{delivery.version} where version {wanted} has to be"]
        versions[delivery.stream] += 1
    return []


def _check_agreement(delivered: Mapping[str, Sequence[Delivery]]) -> Findings:
    orders = {poller: [one.marker for one in all] for poller, all in delivered.items()}
    if len({tuple(order) for order in orders.values()}) > 1:
        return ["the pollers have seen different orders"]
    return []


def lags(entries: Iterable[Entry], deliveries: Sequence[Delivery]) -> list[float]:
    """Return, sorted, the seconds from a commit's return to the delivery of each of its events."""
    ended = {event.marker: entry.ended_at for entry in entries for event in entry.events}
    return sorted(
        # The poller may have it before the writer has been told.
        max(0.0, one.seen_at - ended[one.marker])
        for one in deliveries
        if one.marker in ended
    )
