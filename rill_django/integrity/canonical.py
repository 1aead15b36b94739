"""One text for one JSON value, whichever database it comes from.

PostgreSQL's ``jsonb`` sorts keys in its own way, writes exponents out, knows no negative zero and puts
blanks in; SQLite and MariaDB keep the text as it was given; MySQL has binary floats. So: no blanks,
keys in the order of their code points, of a key given twice the last one, and numbers without an
exponent, with no more digits after the point than are needed (``1.0`` remains ``1.0``, since ``1`` is of
another type to many readers). Texts have only those escapes that JSON demands.

Source: this is RFC 8785 (JCS), but for its numbers, which are binary floats there, while integers and
decimals of any length must survive here; and for its order of keys, by UTF-16 code units there.
"""

from __future__ import annotations

import re
from decimal import Decimal, DecimalException
from typing import Any

import msgspec

MOST_DIGITS = 4_000
"""Digits that a number may have before its point, and zeros after it: below what Python reads."""

_NUL = re.compile(rb"(?<!\\)(?:\\\\)*\\u0000")


def canonical_object(text: bytes | str) -> bytes:
    """Return the canonical text of a JSON object.

    Raises:
        ValueError: it is no JSON object, or has a number, a depth or half a surrogate pair that
            not all databases and readers can hold.
    """
    try:
        value = _decoder.decode(text)
        if not isinstance(value, dict):
            raise ValueError(f"must be a JSON object, not {_kind(value)}")
        return _encoder.encode(value)
    except RecursionError:
        raise ValueError("is nested too deeply") from None


def has_nul(canonical: bytes) -> bool:
    """Whether a text or key inside canonical JSON has a NUL character, which PostgreSQL refuses."""
    return b"\\u0000" in canonical and _NUL.search(canonical) is not None


def canonical_number(text: str) -> str:
    """Return the canonical text of a JSON number that has a point or an exponent.

    Raises:
        ValueError: it is too large or too small to be written out.
    """
    if "e" in text or "E" in text:
        text = _written_out(text)
    if "." in text:
        text = text.rstrip("0")
        text = f"{text}0" if text.endswith(".") else text
    return text.removeprefix("-") if text in ("-0.0", "-0") else text


def _written_out(text: str) -> str:
    try:
        number = Decimal(text)
    except DecimalException:
        raise _too_large(text) from None
    if not number:
        return "0.0" if int(number.as_tuple().exponent) < 0 else "0"
    if not -MOST_DIGITS <= number.adjusted() <= MOST_DIGITS:
        raise _too_large(text)
    return f"{number:f}"


def _too_large(text: str) -> ValueError:
    shown = text if len(text) <= 40 else f"{text[:20]}…{text[-10:]}"
    return ValueError(f"has a number that is too large or too small: {shown}")


def _raw_number(text: str) -> msgspec.Raw:
    return msgspec.Raw(canonical_number(text).encode())


def _kind(value: Any) -> str:
    if value is None:
        return "null"
    kinds = {bool: "a boolean", str: "a text", list: "an array"}
    return kinds.get(type(value), "a number")


# Numbers with a point pass through as texts, so no digit is lost.
_decoder = msgspec.json.Decoder(float_hook=_raw_number)
_encoder = msgspec.json.Encoder(order="deterministic")
