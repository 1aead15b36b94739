"""What a rebuild writes to is proven to be the tables beside; otherwise nothing is done."""

import pytest
from django.db import IntegrityError, connection

from rill_django import Projection, RowProjection, on
from rill_django.models import Checkpoint
from rill_django.projections.rebuild import NewVersion, RowsBesideLost, rebuild, verify
from rill_django.projections.rebuilding.errors import LiveRowsTouched
from rill_django.projections.rebuilding.postgresql_names import PathNotKept
from rill_django.projections.worker import catch_up
from rill_django.testing import isolated_projections
from tests.bank.domain import Account
from tests.bank.models import AuditLine, Balance
from tests.projections.rebuilds import append_history

pytestmark = pytest.mark.django_db(transaction=True)

on_postgresql = pytest.mark.skipif("connection.vendor != 'postgresql'", reason="about search_path")
not_on_postgresql = pytest.mark.skipif(
    "connection.vendor == 'postgresql'", reason="about temporary tables that hide others"
)


def sql(*statements):
    with connection.cursor() as cursor:
        for statement in statements:
            cursor.execute(statement)


class Sets:
    """What handlers do besides; only while rows are made anew."""

    statements = ()

    @classmethod
    def do(cls):
        sql(*cls.statements)


@pytest.fixture
def lines(monkeypatch):
    with isolated_projections():

        class Lines(Projection):
            models = (AuditLine,)

            @on(Account.opened)
            def opened(self, event):
                Sets.do()
                AuditLine.objects.create(text=event.owner, position=event.position)

        append_history(3, 0)
        catch_up(Lines.name)
        yield Lines()
        monkeypatch.undo()


def rows():
    return sorted(AuditLine.objects.values_list("pk", "text", "position"))


def build_new_version(projection):
    steps = NewVersion(projection)
    while steps.step():
        pass


def is_refused(projection, error=LiveRowsTouched):
    before, checkpoint = rows(), Checkpoint.objects.get(name=projection.name)
    assert len(before) == 3
    for go in (rebuild, verify):
        with pytest.raises(error) as caught:
            go(projection)
        assert rows() == before
    with pytest.raises(error):
        build_new_version(projection)
    assert rows() == before
    assert list(Checkpoint.objects.filter(name=projection.name)) == [checkpoint]
    if connection.vendor == "postgresql":
        with connection.cursor() as cursor:
            cursor.execute("SELECT count(*) FROM pg_namespace WHERE nspname LIKE 'rill%%'", ())
            assert cursor.fetchone() == (0,)
    return str(caught.value)


@on_postgresql
@pytest.mark.parametrize(
    "statements",
    [
        ["SET search_path = public"],
        ["SET LOCAL search_path = public"],
        ["RESET search_path"],
        ["SET LOCAL search_path = public", "SELECT 1 FROM bank_auditline"],
        ["INSERT INTO public.bank_auditline (text, position) VALUES ('by name', 1)"],
        ["DELETE FROM public.bank_auditline"],
        ["SELECT 1 FROM public.bank_auditline"],
        [
            "SELECT set_config('rill_test.path', current_setting('search_path'), true)",
            "SET LOCAL search_path = public",
            "DELETE FROM bank_auditline",
            "SELECT set_config('search_path', current_setting('rill_test.path'), true)",
        ],
    ],
)
def test_a_handler_that_means_the_live_rows(lines, monkeypatch, statements):
    monkeypatch.setattr(Sets, "statements", statements)
    text = is_refused(lines)
    assert "which are as they were" in text
    assert "--in-place" in text


@on_postgresql
def test_a_row_projection_whose_key_function_does():
    with isolated_projections():

        class Owners(RowProjection):
            model = Balance
            key = "number"

            @on(Account.opened)
            def opened(self, row, event):
                sql(*Sets.statements)
                row.owner = event.owner

        append_history(3, 0)
        catch_up(Owners.name)
        Sets.statements = ["SET LOCAL search_path = public"]
        try:
            # Their keys are there already, which the database may be the first to say.
            with pytest.raises((LiveRowsTouched, IntegrityError)):
                rebuild(Owners())
        finally:
            Sets.statements = ()
        assert Balance.objects.count() == 3


@on_postgresql
def test_a_trigger_that_names_the_schema(lines):
    sql(
        "CREATE FUNCTION rill_test_double() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN "
        "UPDATE public.bank_auditline SET text = text; RETURN NEW; END $$",
        "CREATE TRIGGER doubled AFTER INSERT ON bank_auditline EXECUTE FUNCTION rill_test_double()",
    )
    try:
        assert "public.bank_auditline" in is_refused(lines)
    finally:
        sql(
            "DROP TRIGGER doubled ON bank_auditline",
            "DROP FUNCTION rill_test_double",
        )


@on_postgresql
def test_whoever_sets_the_path_with_every_statement(lines):
    def set_path(execute, sql, params, many, context):
        with connection.connection.cursor() as own:
            own.execute("SET search_path = public")
        return execute(sql, params, many, context)

    with connection.execute_wrapper(set_path):
        assert "search_path" in is_refused(lines, PathNotKept)


@on_postgresql
def test_what_is_rolled_back_meant_nothing(lines, monkeypatch):
    monkeypatch.setattr(
        Sets,
        "statements",
        ["SAVEPOINT here", "DELETE FROM public.bank_auditline", "ROLLBACK TO SAVEPOINT here"],
    )
    before = [row[1:] for row in rows()]
    rebuild(lines)
    assert [row[1:] for row in rows()] == before


@not_on_postgresql
def test_a_temporary_table_that_is_gone(lines, monkeypatch):
    drop = "DROP TABLE temp.bank_auditline"
    if connection.vendor == "mysql":
        drop = "DROP TEMPORARY TABLE IF EXISTS bank_auditline"
    if connection.vendor == "sqlite" and connection.is_in_memory_db():
        pytest.skip("nothing is built beside")
    done = []

    def once():
        if not done:
            done.append(drop)
            sql(drop)

    monkeypatch.setattr(Sets, "do", once)
    before = rows()
    for go in (rebuild, verify):
        done.clear()
        with pytest.raises((LiveRowsTouched, RowsBesideLost)):
            go(lines, batch_size=1)  # On MySQL the last events are applied to the live rows.
        assert done
        assert rows() == before
