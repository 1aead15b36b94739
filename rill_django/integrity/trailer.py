"""The last line of an export: how many events it has, and their digest.

So a part is not taken for the whole. It is a CloudEvent, too, but without a subject. An export may follow
on another one in the same file.
"""

from __future__ import annotations

from hashlib import sha256
from typing import Literal

import msgspec

_MARK = b'"rill_django.export.ended"'


class _Data(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    events: int
    sha256: str


class Trailer(msgspec.Struct, frozen=True, forbid_unknown_fields=True, kw_only=True):
    """The line, in the order of its names."""

    specversion: Literal["1.0"] = "1.0"
    id: str
    source: str
    type: Literal["rill_django.export.ended"] = "rill_django.export.ended"
    datacontenttype: Literal["application/json"] = "application/json"
    data: _Data


_encoder = msgspec.json.Encoder()
_decoder = msgspec.json.Decoder(Trailer)


def as_trailer(line: bytes) -> Trailer | None:
    """Return a line as a trailer; ``None``: it is something else."""
    if _MARK not in line:
        return None
    try:
        return _decoder.decode(line)
    except (ValueError, RecursionError):
        return None


class Tally:
    """Counts lines and takes their digest. How they end does not matter: transports change that."""

    def __init__(self) -> None:
        self.events = 0
        self._digest = sha256()

    def add(self, line: bytes) -> None:
        """Count a line."""
        self.events += 1
        self._digest.update(line.rstrip(b"\r\n") + b"\n")

    def trailer(self, source: str) -> bytes:
        """Return the line that ends the export, its own end included."""
        digest = self._digest.hexdigest()
        end = Trailer(id=digest, source=source, data=_Data(self.events, digest))
        return _encoder.encode(end) + b"\n"

    def fault_of(self, trailer: Trailer) -> str | None:
        """Return what the lines so far have not in common with a trailer; ``None``: nothing."""
        if trailer.data.events != self.events:
            return f"{trailer.data.events:,} events were written, and {self.events:,} are there"
        if trailer.data.sha256 != self._digest.hexdigest():
            return "the lines are not what was written: their digest is another one"
        return None
