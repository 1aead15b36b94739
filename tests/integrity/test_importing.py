"""Planning an import, and carrying it out."""

import msgspec
import pytest
from django.db import transaction

from rill_django.domain.records import StoredEvent
from rill_django.integrity import importing, lookup
from rill_django.integrity.importing import Import, ImportRefused, appends_of, is_consecutive, plan
from rill_django.integrity.lines import Incoming, to_line
from rill_django.integrity.lookup import events_at, versions_of
from rill_django.store.orm import DjangoEventStore
from rill_django.store.protocol import WrongExpectedVersion
from tests.integrity.logs import NOON, append, deposited, opened, small_log


def incoming(*identities):
    """Events as they were read, a line each: "A0", "B0", …"""
    return [
        Incoming(number, f"x.Thing/{one[0]}", int(one[1:]), opened(one, NOON))
        for number, one in enumerate(identities, start=1)
    ]


def planned(batch, versions=None, stored=None):
    return [one.identity for one in plan(batch, versions or {}, stored or {})]


# --- planning: no database ------------------------------------------------------------------


def test_all_that_follows_is_new():
    batch = incoming("A0", "B0", "A1")
    assert planned(batch) == ["x.Thing/A@0", "x.Thing/B@0", "x.Thing/A@1"]


def test_what_is_there_is_left_out():
    batch = incoming("A0", "A1", "A2")
    there = {(one.stream, one.version): one.event for one in batch[:2]}
    assert planned(batch, {"x.Thing/A": 1}, there) == ["x.Thing/A@2"]
    assert planned(batch[:2], {"x.Thing/A": 7}, there) == []


def test_a_line_may_come_twice():
    assert planned([*incoming("A0"), *incoming("A0")]) == ["x.Thing/A@0"]


@pytest.mark.parametrize(
    ("name", "change", "said"),
    [
        ("type", "x.Thing.other", "type"),
        ("data", b"{}", "data"),
        ("metadata", b'{"actor":"ann"}', "metadata"),
        ("recorded_at", NOON.replace(year=2000), "time"),
    ],
)
def test_other_content_is_refused(name, change, said):
    (one,) = incoming("A0")
    other = msgspec.structs.replace(one.event, **{name: change})
    with pytest.raises(ImportRefused) as refused:
        planned([one], {"x.Thing/A": 0}, {("x.Thing/A", 0): other})
    assert str(refused.value) == (
        f"line 1: x.Thing/A@0 is there already, but with other content: {said}"
    )
    assert (refused.value.number, type(refused.value)(*refused.value.__reduce__()[1]).reason) == (
        1,
        refused.value.reason,
    )


def test_other_content_in_the_same_batch_is_refused():
    first, second = incoming("A0", "A0")
    second = msgspec.structs.replace(second, event=deposited("A0"))
    with pytest.raises(ImportRefused, match=r"line 2: .*: type, data, time"):
        planned([first, second])


@pytest.mark.parametrize(
    ("batch", "versions", "why"),
    [
        (["A1"], {}, "line 1: x.Thing/A@1 leaves a gap: the stream has no events, so version 0"),
        (["B0", "A5"], {"x.Thing/A": 3}, "line 2: .* ends at version 3, so version 4 is next"),
        (["A0", "A2"], {}, "line 2: .* ends at version 0, so version 1 is next"),
        (["A1", "A0"], {}, "line 1"),
    ],
)
def test_a_gap_is_refused(batch, versions, why):
    with pytest.raises(ImportRefused, match=why):
        planned(incoming(*batch), versions)


@pytest.mark.parametrize(
    ("events", "expected"),
    [
        ([], True),
        (["A0", "B5", "A1", "B6"], True),
        (["A0", "A0"], False),
        (["A0", "A2"], False),
        (["A1", "B0", "A0"], False),
    ],
)
def test_what_may_all_be_new(events, expected):
    assert is_consecutive(incoming(*events)) is expected


@pytest.mark.parametrize(
    ("events", "expected"),
    [
        ([], []),
        (["A0", "A1", "B0"], ["A0A1", "B0"]),
        (["A0", "B0", "A1"], ["A0", "B0", "A1"]),
        (["A0", "B0", "B1", "A1", "A2", "C0"], ["A0", "B0B1", "A1A2", "C0"]),
    ],
)
def test_appends_keep_the_order_of_the_lines(events, expected):
    made = [
        "".join(f"{event.data[11:13].decode()}" for event in append.events)
        for append in appends_of(incoming(*events))
    ]
    assert made == expected


def test_an_append_expects_the_version_before_its_first_event():
    appends = appends_of(incoming("A3", "A4", "B0"))
    assert [(one.stream, one.expected_version) for one in appends] == [
        ("x.Thing/A", 2),
        ("x.Thing/B", -1),
    ]


# --- carrying it out ------------------------------------------------------------------------


def lines(*identities):
    return [
        to_line(
            StoredEvent(
                f"x.Thing/{one[0]}", int(one[1:]), 1, "x.Thing.was", b'{"a":1}', b"{}", NOON
            )
        )
        for one in identities
    ]


def identities():
    return [f"{event.stream[-1]}{event.version}" for event in DjangoEventStore().read().stored()]


def carry_out(given, **options):
    job = Import(DjangoEventStore(), **options)
    return job, list(job.run(given))


@pytest.mark.django_db
@pytest.mark.parametrize("batch_size", [1, 2, 3, 100])
def test_lines_are_stored_in_their_order(batch_size):
    order = ["A0", "B0", "A1", "C0", "C1", "B1", "A2", "A3", "B2"]
    job, told = carry_out(lines(*order), batch_size=batch_size)
    assert identities() == order
    assert (job.imported, job.present, told[-1]) == (9, 0, 9)
    assert {event.recorded_at for event in DjangoEventStore().read().stored()} == {NOON}


@pytest.mark.django_db
def test_the_second_time_nothing_changes():
    order = ["A0", "B0", "A1"]
    carry_out(lines(*order))
    job, _ = carry_out(lines(*order, "B1"))
    assert identities() == [*order, "B1"]
    assert (job.imported, job.present) == (1, 3)


@pytest.mark.django_db
def test_blank_lines_are_passed_over_and_counted_as_lines():
    job, told = carry_out([b"\n", *lines("A0"), b"  \r\n"], batch_size=1)
    assert (job.imported, told) == (1, [1, 2, 3])
    with pytest.raises(ImportRefused, match="line 3: is not JSON"):
        carry_out([b"\n", b"\n", b"oops"])


@pytest.mark.django_db
@pytest.mark.parametrize("bad", [b"oops", lines("A7")[0]])
def test_of_a_batch_with_a_bad_line_nothing_is_stored(bad):
    job = Import(DjangoEventStore(), batch_size=2)
    with pytest.raises(ImportRefused, match="line 4: "):
        list(job.run([*lines("A0", "A1", "A2"), bad, *lines("A3")]))
    assert identities() == ["A0", "A1"]
    assert (job.lines, job.imported) == (2, 2)


@pytest.mark.django_db
def test_what_is_stored_is_compared_whatever_the_database_has_made_of_it():
    append("x.Thing/A", opened("é", NOON, b'{"b": 1.0, "a": {"d": 1e2, "c": []}}'))
    (event,) = DjangoEventStore().read().stored()
    job, _ = carry_out([to_line(event)])
    assert (job.imported, job.present) == (0, 1)


@pytest.mark.django_db
def test_a_dry_run_checks_all_and_stores_nothing():
    carry_out(lines("A0"))
    job, _ = carry_out(lines("A0", "A1", "B0", "A2", "B1", "B0"), dry_run=True, batch_size=2)
    assert identities() == ["A0"]
    assert (job.imported, job.present) == (4, 2)
    with pytest.raises(ImportRefused, match=r"line 3: x\.Thing/A@3 leaves a gap"):
        carry_out(lines("A0", "A1", "A3"), dry_run=True, batch_size=1)


@pytest.mark.django_db
def test_what_is_new_is_appended_without_a_look_at_the_log(monkeypatch):
    looks = []
    real = lookup.versions_of
    monkeypatch.setattr(importing, "versions_of", lambda *given: looks.append(1) or real(*given))
    carry_out(lines("A0", "B0", "A1", "B1", "A2"), batch_size=2)
    assert not looks
    # What is there is looked up, until there is something new again.
    job, _ = carry_out(
        lines("A0", "B0", "A1", "B1", "A2", "B2", "C0", "C1", "C2", "C3"), batch_size=1
    )
    assert (job.imported, job.present) == (5, 5)
    assert len(looks) == 6


@pytest.mark.django_db
@pytest.mark.parametrize("says_the_same", [True, False])
def test_others_who_append_at_the_same_time(monkeypatch, says_the_same):
    """Between the look at the store and the append, somebody is faster."""
    batch, others = lines("A0", "B0", "B1"), []

    def slow(*arguments):
        found = events_at(*arguments)
        if not others:
            others.append(True)
            if says_the_same:
                carry_out(batch[1:2])
            else:
                append("x.Thing/B", opened("B0", NOON))
        return found

    carry_out(batch[:1])
    monkeypatch.setattr(importing, "events_at", slow)
    job = Import(DjangoEventStore())
    if says_the_same:
        list(job.run(batch))
        assert identities() == ["A0", "B0", "B1"]
        assert (job.imported, job.present) == (1, 2)
    else:
        with pytest.raises(ImportRefused, match=r"line 2: .* other content: type, data"):
            list(job.run(batch))


@pytest.mark.django_db
def test_it_does_not_try_for_ever():
    class Busy(DjangoEventStore):
        def append_all(self, appends, **options):
            raise WrongExpectedVersion("x.Thing/B", -1, 0)

    with pytest.raises(ImportRefused, match=r"line 2: others keep appending to x\.Thing/B"):
        list(Import(Busy()).run(lines("A0", "B0")))


@pytest.mark.django_db
def test_a_batch_is_stored_in_one_append():
    calls = []

    class Counting(DjangoEventStore):
        def append_all(self, appends, **options):
            calls.append([one.stream for one in appends])
            return super().append_all(appends, **options)

    list(Import(Counting()).run(lines("A0", "B0", "A1")))
    assert calls == [["x.Thing/A", "x.Thing/B", "x.Thing/A"]]
    assert identities() == ["A0", "B0", "A1"]


@pytest.mark.django_db
def test_an_import_inside_a_transaction_is_part_of_it():
    with transaction.atomic():
        carry_out(lines("A0"))
        transaction.set_rollback(True)
    assert identities() == []


# --- looking up -----------------------------------------------------------------------------


@pytest.mark.django_db
@pytest.mark.parametrize("at_once", [1, 2, 250])
def test_many_streams_are_looked_up_at_once(monkeypatch, at_once):
    monkeypatch.setattr(lookup, "AT_ONCE", at_once)
    small_log(accounts=4, deposits=3)
    store = DjangoEventStore()
    names = [f"bank.Account/{number}" for number in range(4)]
    assert versions_of(store, [*names, "bank.Account/none"]) == dict.fromkeys(names, 3)
    wanted = {(names[0], 0), (names[0], 2), (names[1], 0), (names[1], 2), (names[3], 3), ("x/y", 0)}
    found = events_at(store, wanted)
    assert set(found) == wanted - {("x/y", 0)}
    stored = {(one.stream, one.version): one for one in store.read().stored()}
    for identity, event in found.items():
        assert event.recorded_at == stored[identity].recorded_at
        assert event.type == stored[identity].type
        assert msgspec.json.decode(event.data) == msgspec.json.decode(stored[identity].data)
    assert events_at(store, set()) == {}
    assert versions_of(store, []) == {}
