"""How PostgreSQL finds the rows of a batch: by their index, not by reading the whole table."""

import pytest
from django.db import connection

from tests.bank.models import Balance, Branch
from tests.projections.test_rows_buffer import do, projection_of

pytestmark = [
    pytest.mark.django_db,
    pytest.mark.skipif("connection.vendor != 'postgresql'", reason="about PostgreSQL"),
]

ROWS, SOME = 20_000, 3_000


@pytest.fixture
def plans():
    """Collect the plans of statements on rows."""
    found = []

    def explain(execute, sql, params, many, context):
        if "unnest" in sql:
            with connection.cursor() as cursor:
                cursor.cursor.execute(f"EXPLAIN {sql}", params)
                found.append("\n".join(line for (line,) in cursor.cursor.fetchall()))
        return execute(sql, params, many, context)

    with connection.execute_wrapper(explain):
        yield found


def analyzed(model):
    with connection.cursor() as cursor:
        cursor.execute(f"ANALYZE {model._meta.db_table}")


def test_a_key_of_one_field(plans):
    Balance.objects.bulk_create(Balance(number=str(number)) for number in range(ROWS))
    analyzed(Balance)

    def move(row):
        row.movements += 1

    projection_of(Balance).apply([do(str(number), move) for number in range(SOME)])
    assert Balance.objects.filter(movements=1).count() == SOME
    loading, writing = plans
    assert "Index Scan" in loading
    assert "Index Scan" in writing
    assert "Seq Scan" not in loading + writing


def test_a_key_of_several_fields(plans):
    Branch.objects.bulk_create(Branch(branch="b", owner=str(number)) for number in range(ROWS))
    analyzed(Branch)

    def count(row):
        row.accounts += 1

    projection_of(Branch, ("branch", "owner")).apply(
        [do("", count, branch="b", owner=str(number)) for number in range(SOME)]
    )
    assert Branch.objects.filter(accounts=1).count() == SOME
    loading, writing = plans
    assert "Index Scan" in loading
    assert "Index Scan" in writing
    assert "Seq Scan" not in loading + writing
