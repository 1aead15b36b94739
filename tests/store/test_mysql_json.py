"""What MySQL or MariaDB cannot hold is refused before they are asked. MariaDB stands in for both."""

import pytest
from django.db import connection, connections

from rill_django import InvalidMessage
from rill_django.domain.records import NewEvent
from rill_django.store.dialect import Row
from rill_django.store.mysql_json import MARIADB_LEVELS, refuse_unfit
from rill_django.store.orm import DjangoEventStore


def row(data: str, metadata: str = "{}") -> Row:
    return Row("a.B/1", 0, "a.B.c", data, metadata, None)


@pytest.mark.parametrize("number", [2**64, -(2**63) - 1, 10**40])
@pytest.mark.parametrize("data", ['{"a":%d}', '{"a":[1,{"b":%d}]}'])
def test_integers_beyond_64_bits_are_refused(number, data):
    for one in (row(data % number), row("{}", data % number)):
        with pytest.raises(InvalidMessage, match=r"a\.B\.c: has an integer beyond 64 bits"):
            refuse_unfit([row("{}"), one], is_mariadb=False)


@pytest.mark.parametrize(
    "value", [2**64 - 1, -(2**63), '"%s"' % (10**40), "1e30", "0.12345678901234567890"]
)
def test_others_are_not(value):
    refuse_unfit([row(f'{{"a":[{value}],"b":true}}')], is_mariadb=False)


@pytest.mark.skipif(connection.vendor != "mysql", reason="of MySQL and MariaDB")
@pytest.mark.django_db
@pytest.mark.parametrize("is_mariadb", [True, False])
def test_by_the_database_that_is_there(monkeypatch, is_mariadb):
    connection.ensure_connection()
    monkeypatch.setitem(connections["default"].__dict__, "mysql_is_mariadb", is_mariadb)
    store, event = DjangoEventStore(), NewEvent("a.B.c", b'{"a":%d}' % 2**70)
    if is_mariadb:
        store.append("a.B/1", -1, [event])
        assert str(2**70).encode() in store.load("a.B/1")[0].data
    else:
        with pytest.raises(InvalidMessage, match="64 bits"):
            store.append("a.B/1", -1, [event])
        assert store.version("a.B/1") == -1


def nested(levels: int) -> bytes:
    inside = levels - 1
    return b'{"a":' + b"[" * inside + b"]" * inside + b',"b":"[[[["}'


@pytest.mark.skipif(connection.vendor != "mysql", reason="of MySQL and MariaDB")
@pytest.mark.django_db
def test_what_is_nested_deeper_than_the_database_takes_is_refused_before():
    store = DjangoEventStore()
    store.append("a.B/1", -1, [NewEvent("a.B.c", nested(MARIADB_LEVELS))])
    with pytest.raises(InvalidMessage, match=r"nested 32 levels deep, and .* 31 at most"):
        store.append("a.B/1", 0, [NewEvent("a.B.c", nested(MARIADB_LEVELS + 1))])
    with pytest.raises(InvalidMessage, match="levels deep"):
        store.append("a.B/1", 0, [NewEvent("a.B.c", b"{}", nested(MARIADB_LEVELS + 1))])
    assert store.version("a.B/1") == 0


def test_many_lists_beside_each_other_are_not_deep():
    lists = ",".join(["[]"] * 100)
    refuse_unfit([row(f'{{"a":[{lists}]}}')], is_mariadb=True)
