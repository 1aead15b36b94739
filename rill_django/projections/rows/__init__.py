"""`RowProjection`: one row per key, loaded and written in bulk, changed as ordinary instances.

| module | holds |
|---|---|
| `row_projection` | what the author of a projection sees |
| `keys` | which rows an event changes |
| `buffer` | rows in memory, changed by handlers, written by `flush` |
| `columns` | values as the database will give them back |
| `tables` | loading and writing rows, by the ORM |
| `postgresql` | the same, faster |
"""

from rill_django.projections.rows.buffer import DELETE, RowBuffer
from rill_django.projections.rows.keys import WrongKey
from rill_django.projections.rows.row_projection import RowProjection

__all__ = ["DELETE", "RowBuffer", "RowProjection", "WrongKey"]
