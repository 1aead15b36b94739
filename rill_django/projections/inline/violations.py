"""Which of a model's own constraints a database's error is about."""

from __future__ import annotations

from collections.abc import Collection, Iterator, Mapping
from typing import Any, NamedTuple

from django.db import IntegrityError, models
from django.db.backends.base.base import BaseDatabaseWrapper

from rill_django.projections.inline.columns import columns_of
from rill_django.projections.inline.failures import Failure
from rill_django.projections.inline.identifiers import as_kept, table_name
from rill_django.projections.inline.messages import Kind, Told, told_by
from rill_django.projections.rows.uniqueness import primary_key_of

Model = type[models.Model]


class Violation(NamedTuple):
    """A constraint that a model declares, and that rows would have violated.

    Attributes:
        kind: which kind it is.
        model: the model.
        name: of the constraint; of a unique field or foreign key: the field's name.
        fields: the names of the fields it is about, as far as they are declared.
        code: the ``violation_error_code`` that the constraint was given, or empty.
        value: what tells it from the same constraint violated by other values, if the database says it.
    """

    kind: Kind
    model: Model
    name: str
    fields: tuple[str, ...]
    code: str = ""
    value: str = ""

    @property
    def may_be_a_race(self) -> bool:
        """Whether somebody else may have made the same row at the same moment."""
        return self.kind is Kind.UNIQUE

    def reason(self, rejections: Mapping[Any, str]) -> str:
        """Return the short stable code that stands for it.

        Args:
            rejections: codes by the name of a constraint or field, or by several fields' names.
        """
        for key in (self.name, self.fields, *(self.fields if len(self.fields) == 1 else ())):
            if key in rejections:
                return rejections[key]
        if self.code:
            return self.code
        dashed = self.name.replace("_", "-").replace(",", "-")
        if self.name != ",".join(self.fields):
            return dashed
        return f"no-such-{dashed}" if self.kind is Kind.FOREIGN_KEY else f"{dashed}-taken"


def violation_of(
    error: IntegrityError,
    candidates: Collection[Model],
    connection: BaseDatabaseWrapper,
    failure: Failure = Failure(),  # noqa: B008 - immutable
) -> Violation | None:
    """Return which constraint of these models the error is about.

    May ask the database, so the transaction must not be a broken one.

    Args:
        error: what the database said.
        candidates: the models.
        connection: to the database.
        failure: what was noted when it said so.

    Returns:
        ``None`` if it is none that a model declares: then it is not a rule, but a mistake.
    """
    told = told_by(connection.vendor, error)
    if told is None:
        return None
    if failure.constraint:
        told = told._replace(name=failure.constraint)
    names = {model: table_name(model, connection) for model in candidates}
    tables = [model for model in candidates if told.table in ("", names[model])]
    if not told.table and failure.statement:
        quote = connection.ops.quote_name
        tables = [one for one in tables if quote(one._meta.db_table) in failure.statement]
    found = None
    for model in tables:
        found = found or _by_name(told, model, connection)
    for model in tables if found is None else ():
        columns = told.columns(names[model])
        if told.name and told.kind in (Kind.UNIQUE, Kind.FOREIGN_KEY):
            columns = columns or columns_of(told.name, model, connection)
        found = found or (_by_columns(told.kind, model, columns) if columns else None)
    return found._replace(value=told.value) if found else None


def declared_names(model: Model) -> Iterator[str | tuple[str, ...]]:
    """Yield what a rejection may be named by."""
    for constraint in model._meta.constraints:
        yield constraint.name
        if fields := tuple(getattr(constraint, "fields", ())):
            yield fields
            if len(fields) == 1:
                yield fields[0]
    yield from map(tuple, model._meta.unique_together)
    for field in model._meta.concrete_fields:
        if field.unique or field.remote_field is not None:
            yield field.name


def _by_name(told: Told, model: Model, connection: BaseDatabaseWrapper) -> Violation | None:
    for constraint in model._meta.constraints:
        if as_kept(constraint.name, connection) == told.name:
            return _of_constraint(told.kind, model, constraint)
    return None


def _of_constraint(kind: Kind, model: Model, constraint: models.BaseConstraint) -> Violation:
    fields = tuple(getattr(constraint, "fields", ()))
    code: Any = constraint.violation_error_code
    return Violation(kind, model, constraint.name, fields, code or "")


def _by_columns(kind: Kind, model: Model, columns: frozenset[str]) -> Violation | None:
    meta = model._meta
    names = {field.column: field.name for field in meta.concrete_fields}
    if not columns <= names.keys():
        return None
    if kind is Kind.FOREIGN_KEY:
        (column, *others) = columns
        return None if others else Violation(kind, model, names[column], (names[column],))
    if kind is not Kind.UNIQUE:
        return None
    found = frozenset(names[column] for column in columns)
    together = [
        *((field.name,) for field in meta.concrete_fields if field.unique),
        tuple(field.name for field in primary_key_of(model)),
        *map(tuple, meta.unique_together),
    ]
    for fields in together:
        if frozenset(fields) == found:
            return Violation(kind, model, ",".join(fields), fields)
    # SQLite names no constraints. Those with conditions come last.
    unique = [one for one in meta.constraints if isinstance(one, models.UniqueConstraint)]
    for constraint in sorted(unique, key=lambda one: one.condition is not None):
        if frozenset(constraint.fields) == found:
            return _of_constraint(kind, model, constraint)
    return None
