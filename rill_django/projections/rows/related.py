"""Other rows that a handler reaches from its own, by a relation."""

from __future__ import annotations

from typing import Any

from django.db import models

from rill_django.domain.errors import RillError


class OtherRowChanged(RillError, TypeError):
    """A handler has set a field of a row to which its own refers, where it would be lost."""


class Related(dict[str, Any]):
    """What Django keeps with an instance of the instances that it refers to; and how they were.

    One serves all rows in turn: it is emptied after each handler.
    """

    def __init__(self) -> None:
        super().__init__()
        self._before: dict[str, tuple[models.Model, dict[str, Any]]] = {}

    def __setitem__(self, name: str, value: Any) -> None:
        super().__setitem__(name, value)
        if isinstance(value, models.Model):
            self._before[name] = value, value.__dict__.copy()

    def clear(self) -> None:
        """Forget them."""
        super().clear()
        self._before.clear()

    def refuse_changed(self) -> None:
        """Raise `OtherRowChanged` if one has got another value of a field."""
        for name, (instance, before) in self._before.items():
            now = instance.__dict__
            label = instance._meta.label
            for field in instance._meta.concrete_fields:
                attname = field.attname
                if attname in before and now.get(attname) != before[attname]:
                    raise OtherRowChanged(
                        f"The handler has set {field.name} of {label}, to which its row refers by {name}. "
                        "That is another row, which it does not store: only the projection of "
                        f"{label} can change it, by a handler of its own."
                    )
