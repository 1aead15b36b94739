"""`RowProjection`: what the author of a projection with rows sees."""

from __future__ import annotations

import inspect
from collections.abc import Callable, Collection, Mapping, Sequence
from functools import cached_property
from typing import Any, ClassVar, Generic

from rill_django.domain.errors import DefinitionError
from rill_django.domain.records import RecordedEvent
from rill_django.projections.definition import is_model
from rill_django.projections.handler_marks import KeyOptions
from rill_django.projections.projection import Projection
from rill_django.projections.rows.buffer import RowBuffer
from rill_django.projections.rows.keys import RowKeys
from rill_django.projections.rows.models import Row, model_of, refuse_other_rows
from rill_django.projections.sessions import ROWS_IN_MEMORY


class RowProjection(Projection, Generic[Row]):
    """A projection with one row per key.

    A handler gets the row and the event, and changes the row like any model instance; a row that is not
    there yet is a new instance with the model's defaults. All rows of a batch are loaded in one query and
    written back together. A handler that returns `DELETE` has the row deleted::

        class Balances(RowProjection[Balance]):
            key = "number"

            @on(Account.withdrawn)
            def withdrawn(self, row, event):
                row.balance -= event.amount

            @on(Account.transferred, keys=("sender", "recipient"))
            def transferred(self, row, event):
                row.balance += event.amount if row.number == event.recipient else -event.amount

    The outcome is the same wherever batches begin and end. For that, a handler looks at nothing but its
    row and the event, and not at an automatic primary key, which is no fact of the log.

    Attributes:
        model: the model of the rows, if it does not stand in brackets; nobody else may write to it.
        key: which row an event changes: the name of a field that event and model share, a tuple of such
            names, or a function of the event that returns the value of the primary key, or a dict of
            field values. ``None`` from the function: this event changes no row.
        keys: instead of ``key``, which rows an event changes: a function of the event that returns any
            number of keys. The handler is called for each of them once, in that order.

    ``@on(…, key=…)`` and ``@on(…, keys=…)`` say it for one handler, in terms of the projection's own
    key: a field's name stands for the event's field with the value, a function may return the value alone.
    """

    model: type[Row]
    key: ClassVar[Any] = None
    keys: ClassVar[Callable[[RecordedEvent], Collection[Any] | None] | None] = None
    _handlers_get = ("self", "row", "event")

    @classmethod
    def _take_type_arguments(cls) -> None:
        is_this = cls.__module__ == __name__  # And has no name yet.
        if not is_this and (model := model_of(cls, RowProjection)) is not None:
            cls.model = model

    @classmethod
    def check_definition(cls) -> None:
        """See `Projection.check_definition`."""
        where = f"{cls.__module__}.{cls.__qualname__}"
        if not hasattr(cls, "model"):
            raise DefinitionError(
                f"{where} has no model. Write e.g. class {cls.__name__}(RowProjection[Balance]), or "
                "model = Balance"
            )
        if not is_model(cls.model):
            raise DefinitionError(
                f"{where}: model takes the class of a model, got {cls.model!r}. Write: model = Balance"
            )
        refuse_other_rows(cls.model, cls.handlers, where)
        if (cls.key is None) == (cls.keys is None):
            raise DefinitionError(
                f"{where} does not say which row an event changes. Write e.g. key = 'number', "
                "key = ('origin', 'date'), key = lambda event: event.number, or, for several rows, "
                "keys = lambda event: [event.sender, event.recipient]"
            )
        cls.models = (cls.model,)
        # A plain function in a class body would be bound to the instance like a method.
        for name in ("key", "keys"):
            if callable(vars(cls).get(name)):
                setattr(cls, name, staticmethod(vars(cls)[name]))
        if cls.keys is not None and not callable(cls.keys):
            raise DefinitionError(
                f"{where}: keys has to be a function of the event; got {cls.keys!r}"
            )
        for one in (cls.key_options(), *cls.key_overrides.values()):
            _refuse_no_key(where, one)
        if cls.batch_handlers:
            raise DefinitionError(
                f"{where}: @on_batch is for a Projection; a RowProjection works on batches by itself."
            )
        if cls.partitions > 1 and any(
            one.keys for one in (cls.key_options(), *cls.key_overrides.values())
        ):
            raise DefinitionError(
                f"{where}: an event that changes several rows (keys=) cannot be left to one partition. "
                "Write partitions = 1, or key= in place of keys=."
            )

    @classmethod
    def key_options(cls) -> KeyOptions:
        """Return ``key`` or ``keys``."""
        return KeyOptions(cls.key, cls.keys)

    @property
    def key_fields(self) -> frozenset[str]:
        """Names of the model's fields that identify a row.

        If ``key`` or ``keys`` is a function, none before it has been called.
        """
        meta = self.model._meta
        return frozenset(meta.get_field(name).name for name in self._row_keys(self.using).names)

    def _row_keys(self, using: str) -> RowKeys:
        made: dict[str, RowKeys] = self.__dict__.setdefault("_row_keys_by_database", {})
        if using not in made:
            made[using] = RowKeys(
                self.name, self.model, using, self.key_options(), self.key_overrides
            )
        return made[using]

    @cached_property
    def keys_are_plain(self) -> bool:
        """See `Projection.keys_are_plain`: names of fields are looked up, and nothing else."""
        options = (self.key_options(), *self.key_overrides.values())
        return type(self).keys_of is RowProjection.keys_of and not any(
            callable(one.key) or callable(one.keys) for one in options
        )

    def keys_of(self, event: RecordedEvent) -> tuple[str, ...]:
        """Return the keys of the rows that the event changes, as texts; see `Projection.keys_of`."""
        keys = self._row_keys(self.using)
        try:
            return tuple(map(keys.text, keys.reader(event.type)(event)))
        except Exception:
            # The event will fail, and is then known by its stream.
            return super().keys_of(event)

    def apply(self, events: Sequence[RecordedEvent]) -> None:
        """See `Projection.apply`. Database errors come up as they are, when the rows are written."""
        session = self.session()
        session.apply(events)
        session.flush()

    def session(
        self, *, max_rows: int = ROWS_IN_MEMORY, is_empty: bool = False, is_shared: bool = False
    ) -> RowBuffer:
        """See `Projection.session`."""
        handlers: Mapping[str, Callable[..., Any]] = self.handlers
        return RowBuffer(
            self,
            handlers,
            self._row_keys(self.using),
            max_rows=max_rows,
            is_empty=is_empty,
            is_shared=is_shared,
        )


def _refuse_no_key(where: str, options: KeyOptions) -> None:
    """Raise `DefinitionError` for key functions whose call would give no key."""
    is_async = any(map(inspect.iscoroutinefunction, options)) or any(
        map(inspect.isasyncgenfunction, options)
    )
    if is_async or inspect.isgeneratorfunction(options.key):
        raise DefinitionError(
            f"{where}: a key function returns the key. An async one does not, nor does a generator, which "
            "is for several: keys="
        )
