"""The body of an aggregate's class, where a second method of a name would replace the first in silence."""

from __future__ import annotations

import sys
from types import FunctionType
from typing import Any

from .errors import DefinitionError
from .message_types import MessageType
from .places import place_of


class ClassBody(dict[str, Any]):
    """Takes each event and command once."""

    def __setitem__(self, name: str, value: Any) -> None:
        old = self.get(name)
        # A property or a field may be set anew, and be given to a decorator by hand.
        if old is not None and (isinstance(old, MessageType) or isinstance(value, MessageType)):
            self._refuse_second(name, old, value)
        super().__setitem__(name, value)

    def _refuse_second(self, name: str, old: Any, new: Any) -> None:
        before, after = _function_of(old), _function_of(new)
        if before is None or before is after:
            return  # A field; that is told when the class is complete, with all that there are.
        frame = sys._getframe(2)
        here = f"{frame.f_code.co_filename}:{frame.f_lineno}" if after is None else place_of(after)
        raise DefinitionError(
            f"{self['__module__']}.{self['__qualname__']}.{name} is defined twice: at {place_of(before)} and "
            f"at {here}. Python would keep the second one only. Give each a name of its own."
        )


def _function_of(value: Any) -> FunctionType | None:
    function = getattr(value, "function", value)
    return function if isinstance(function, FunctionType) else None
