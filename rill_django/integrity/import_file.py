"""The lines of a file that is imported, however it looks inside."""

from __future__ import annotations

import os
from collections.abc import Iterator
from typing import BinaryIO

from rill_django.integrity.importing import ImportRefused
from rill_django.integrity.trailer import Tally, as_trailer

_BOM = b"\xef\xbb\xbf"
_OTHERS = {
    b"\x1f\x8b": "is compressed by gzip. Unpack it before: gzip -dc FILE | manage.py import_events",
    b"\x28\xb5\x2f\xfd": "is compressed by zstd. Unpack it before: zstd -dc FILE | manage.py import_events",
    b"PK": "is a zip archive. Unpack it before",
    b"\xff\xfe": "is UTF-16, and has to be UTF-8",
    b"\xfe\xff": "is UTF-16, and has to be UTF-8",
}


class ImportFile:
    """Yields lines, each time from the file's beginning; blank ones stand for trailers.

    Args:
        file: can be read from its beginning again.
        most_bytes: of a line; a longer one is refused before it is in memory.

    Attributes:
        fault: why what was read is no complete export; ``None``: it is one.
    """

    def __init__(self, file: BinaryIO, most_bytes: int) -> None:
        self._file = file
        self._most_bytes = most_bytes
        self._as_it_was = self._state()
        self.fault: str | None = None

    def __iter__(self) -> Iterator[bytes]:
        """Yield the lines.

        Raises:
            ImportRefused: a line is too long, the file is no text, or was changed since it was opened.
        """
        self._file.seek(0)
        self.fault, tally, is_ended = None, Tally(), False
        number = 0
        while line := self._file.readline(self._most_bytes + 1):
            number += 1
            if number == 1:
                line = self._without_mark(line)
            if len(line) > self._most_bytes:
                raise ImportRefused(
                    number,
                    f"has more than {self._most_bytes:,} bytes. Is an event so large, allow it: "
                    "--max-event-bytes",
                )
            trailer = as_trailer(line)
            if trailer is not None:
                fault = tally.fault_of(trailer)
                if fault is not None:
                    self.fault = self.fault or f"line {number:,}: {fault}"
                tally, is_ended, line = Tally(), True, b"\n"
            elif line.strip():
                tally.add(line)
                is_ended = False
            yield line
        if not is_ended:
            self.fault = (
                self.fault or "it ends without its last line, which tells how many events it has"
            )
        if self._state() != self._as_it_was:
            raise ImportRefused(number, "the file was changed while it was read")

    def _without_mark(self, line: bytes) -> bytes:
        for magic, what in _OTHERS.items():
            if line.startswith(magic):
                raise ImportRefused(1, what)
        return line.removeprefix(_BOM)

    def _state(self) -> tuple[int, int]:
        found = os.fstat(self._file.fileno())
        return found.st_size, found.st_mtime_ns
