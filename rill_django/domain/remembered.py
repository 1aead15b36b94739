"""What is kept of a result, so that a repeated command is answered as the first one was."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

import msgspec

from .errors import InvalidMessage
from .results import Later, Ok, Rejected
from .storable import LEAVES, Unstorable, place_in
from .typed_json import decode_typed, encode_typed

if TYPE_CHECKING:
    from .aggregates import Aggregate


class Remembered(msgspec.Struct, omit_defaults=True):
    """Where the events of a result are, or the refusal.

    Attributes:
        version: of the aggregate that the result holds.
        events: how many of the last ones are the result's own.
        reason: of a rejection; ``None``: it is none.
        data: of a rejection, by `encode_typed`.
    """

    version: int
    events: int = 0
    reason: str | None = None
    data: msgspec.Raw = msgspec.Raw(b"{}")

    @classmethod
    def of(cls, result: Ok[Any] | Rejected) -> Remembered:
        """Return what is kept of a result.

        Raises:
            InvalidMessage: a rejection says something that cannot be stored.
        """
        if isinstance(result, Ok):
            return cls(result.version, len({event.version for event in result.events}))
        reason = _settled("reason", result.reason)
        return cls(result.version, reason=reason, data=_encoded(result.data))

    @classmethod
    def decoded(cls, answer: bytes) -> Remembered:
        """Return what ``encoded`` has made.

        Raises:
            ValueError: it has not.
        """
        return _decoder.decode(answer)

    def encoded(self) -> bytes:
        """Return it as JSON."""
        return msgspec.json.encode(self)

    def rejection(
        self, aggregate: Aggregate | Later[Any], *, is_repetition: bool = False
    ) -> Rejected:
        """Return the rejection, with the same data whenever it is asked for.

        Raises:
            ValueError: its data cannot be read.
        """
        data = decode_typed(self.data)
        return Rejected(self.reason or "", data, aggregate, is_repetition)


_decoder = msgspec.json.Decoder(Remembered)


def _settled(name: str, value: Any) -> str:
    plain = value if type(value) is str else str(msgspec.to_builtins(value, enc_hook=str))
    try:
        settled: str = LEAVES[str](plain)
    except Unstorable as error:
        raise InvalidMessage("rejection", name, str(error)) from None
    return settled


def _encoded(data: Mapping[str, Any]) -> msgspec.Raw:
    try:
        return msgspec.Raw(encode_typed(data))
    except Unstorable as error:
        for name, value in data.items():
            try:
                encode_typed(value)
            except Unstorable:
                raise InvalidMessage("rejection", name + place_in(value), str(error)) from None
        raise InvalidMessage("rejection", "", str(error)) from None
