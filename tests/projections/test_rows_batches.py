"""The outcome of a `RowProjection` does not depend on where batches end, or on what is in memory."""

from datetime import date, datetime, time, timedelta, timezone
from decimal import Decimal
from hashlib import sha1
from types import SimpleNamespace
from uuid import UUID

import pytest
from django.db import models, transaction
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from rill_django import DELETE, RecordedEvent, RowProjection, on
from rill_django.domain.records import StoredEvent
from rill_django.testing import isolated_projections
from tests.bank.domain import Account
from tests.bank.models import Holder, Sample

pytestmark = pytest.mark.django_db

NOON = datetime(2013, 1, 1, 12, tzinfo=timezone.utc)
CHANGE, DROP = Account.opened.name, Account.closed.name


def event(type, number, **fields):
    stored = StoredEvent(f"bank.Account/{number}", 0, 1, type, b"{}", b"{}", NOON)
    fields = {"number": number, **fields}
    return RecordedEvent(stored, type, SimpleNamespace(__struct_fields__=tuple(fields), **fields))


def look(row):
    """What a handler sees of a row; an automatic key is no fact of the log, nor is the clock."""
    hidden = {"trace", "id", "made_at", "changed_at", "doubled"}
    names = [field.attname for field in row._meta.concrete_fields if field.name not in hidden]
    seen = [getattr(row, name) for name in names]
    seen = [bytes(value) if isinstance(value, memoryview) else value for value in seen]
    return sha1(repr([row._state.adding, sorted(vars(row)), seen]).encode()).hexdigest()


def projection_of(of, fields):
    with isolated_projections():

        class Changing(RowProjection):
            model = of
            key = "number"

            @on(Account.opened)
            def changed(self, row, event):
                if hasattr(row, "trace") and not row._state.adding:
                    row.trace = sha1((row.trace + look(row)).encode()).hexdigest()
                row._note = "forgotten"
                for name, value in event.changes:
                    if name == "data" and isinstance(value, dict) and isinstance(row.data, dict):
                        row.data.update(value)
                    elif isinstance(value, timedelta) and name != "span":
                        setattr(row, name, getattr(row, name) + value)
                    else:
                        setattr(row, name, value)

            @on(Account.closed)
            def closed(self, row, event):
                return DELETE

        return Changing()


def outcome(projection, run):
    """Return the rows after a run, or that it failed; all is undone."""
    with transaction.atomic():
        try:
            with transaction.atomic():
                run(projection)
            hidden = {"id", "made_at", "changed_at"}
            names = [
                field.attname
                for field in projection.model._meta.concrete_fields
                if field.name not in hidden
            ]
            rows = [
                [bytes(one) if isinstance(one, memoryview) else one for one in row]
                for row in projection.model.objects.order_by("number").values_list(*names)
            ]
            found = repr(rows)
        except Exception as error:
            found = "failed"
            if isinstance(error, AssertionError):
                raise
        transaction.set_rollback(True)
    return found


values = {
    "text": ["", "a", "b ", " c", "é☃", "\\N", "a\tb\n\"'{},", 5, True, "far too long for it"],
    "amount": [
        *["1.005", "x", Decimal("1.005"), Decimal("1.015"), Decimal("-2.675"), 3, 0.1],
        *[Decimal("-0.001"), Decimal("1E+2"), 10**7],
        *[Decimal("1.25"), Decimal("-0.00"), Decimal("10000000.00"), Decimal("NaN")],
    ],
    "long_amount": [
        *[Decimal("12345678901234567890.12345678"), Decimal("0.123456785")],
        Decimal("123456.7890123"),
    ],
    "real": [0.1, 1e300, -0.0, 3, Decimal("0.1"), 1 / 3, float("inf")],
    "count": [0, 1, 32767, 40000, -1, True, 2.7, "3"],
    "big": [None, 2**62, -(2**63), 2**63, True],
    "flag": [True, False, 1, 0, "1", None],
    "at": [
        *[None, NOON, NOON.replace(microsecond=123456)],
        NOON.astimezone(timezone(timedelta(hours=5))),
    ],
    "day": [None, date(2013, 2, 3), NOON, "2013-04-05", date(50, 1, 1)],
    "clock": [None, time(1, 2, 3, 4), "10:11"],
    "span": [None, timedelta(days=-1, microseconds=5), timedelta(hours=30)],
    "data": [
        *[{"b": (1, 2)}, {"a": {3: "x", "zz": 1.5}}, {"n": 1e22}, {"d": Decimal(1)}, "text"],
        *[[1, {"k": None}], {"longer": 1, "s": True}, {"q": '"\\\n'}, {"f": 0.0, "m": -0.0}],
    ],
    "token": [None, UUID(int=5), str(UUID(int=6)), "nonsense"],
    "blob": [None, b"", b"a\0b", bytearray(b"c")],
    "code": [None, 1, 2, 3],
}

change = st.sampled_from(list(values)).flatmap(
    lambda name: st.tuples(st.just(name), st.sampled_from(values[name]))
)
number = st.sampled_from(["1", "2", "3", "4 "])
changes = st.builds(
    lambda number, changes: (CHANGE, number, changes), number, st.lists(change, max_size=3)
)
drops = st.builds(lambda number: (DROP, number, []), number)
histories = st.lists(st.one_of(changes, changes, changes, drops), max_size=14)
relaxed = settings(
    max_examples=150,
    deadline=None,
    suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow],
)


def events_of(history):
    return [event(type, number, changes=changes) for type, number, changes in history]


def one_by_one(history):
    def run(projection):
        for one in events_of(history):
            projection.apply([one])

    return run


def in_batches(history, sizes):
    def run(projection):
        events = events_of(history)
        for size in sizes:
            projection.apply(events[:size])
            del events[:size]
        projection.apply(events)

    return run


def in_memory(history, sizes, max_rows, is_empty):
    """A session that lasts; a negative size is a batch that is not written."""

    def run(projection):
        session = projection.session(max_rows=max_rows, is_empty=is_empty)
        events = events_of(history)
        for size in sizes:
            session.apply(events[: abs(size)])
            del events[: abs(size)]
            if size > 0:
                session.flush()
        session.apply(events)
        session.flush()

    return run


@relaxed
@given(
    histories,
    st.lists(st.integers(1, 6), max_size=4),
    st.lists(st.integers(-5, 5), max_size=6),
    st.integers(0, 5),
    st.booleans(),
)
def test_values_of_every_kind(history, sizes, memory_sizes, max_rows, is_empty):
    projection = projection_of(Sample, values)
    expected = outcome(projection, one_by_one(history))
    assert outcome(projection, in_batches(history, sizes)) == expected
    assert outcome(projection, in_batches(history, [])) == expected
    assert outcome(projection, in_memory(history, memory_sizes, max_rows, is_empty)) == expected


holder_values = {
    "group": ["", "a", "b", "B"],
    "alias": [None, "x", "y", "X"],
    "level": [1, 2, models.F("id") * 0 + 5],
}
holder_change = st.sampled_from(list(holder_values)).flatmap(
    lambda name: st.tuples(st.just(name), st.sampled_from(holder_values[name]))
)
holder_histories = st.lists(
    st.one_of(
        st.builds(lambda n, c: (CHANGE, n, c), number, st.lists(holder_change, max_size=2)),
        drops,
    ),
    max_size=14,
)


@relaxed
@given(
    holder_histories,
    st.lists(st.integers(1, 6), max_size=4),
    st.lists(st.integers(-5, 5), max_size=6),
    st.integers(0, 5),
    st.booleans(),
)
def test_unique_values_that_wander_between_rows(history, sizes, memory_sizes, max_rows, is_empty):
    projection = projection_of(Holder, holder_values)
    expected = outcome(projection, one_by_one(history))
    assert outcome(projection, in_batches(history, sizes)) == expected
    assert outcome(projection, in_memory(history, memory_sizes, max_rows, is_empty)) == expected
