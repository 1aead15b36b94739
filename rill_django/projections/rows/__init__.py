"""`RowProjection`: one row per key, loaded and written in bulk, changed as ordinary instances.

| module | holds |
|---|---|
| `row_projection` | what the author of a projection sees |
| `keys` | which rows an event changes |
| `alike` | keys that the database takes for equal, and Python does not |
| `buffer` | rows in memory, changed by handlers, written by `flush` |
| `entries` | one row in memory: as handlers see it, and as it is stored |
| `changes` | what a handler has changed in a row |
| `asking` | statements of the author's, which see what the events before have done |
| `claims` | which row in memory has or had which unique values |
| `related` | other rows, which a handler reaches from its own |
| `seen` | which keys may have rows, in a table that was empty |
| `columns` | the columns of a table |
| `settling` | values as the database will give them back |
| `frozen` | JSON values, which may change in place |
| `layout` | a model's columns, and what each is for |
| `uniqueness` | what must be unique in a table |
| `instances` | instances: new, loaded, to be written |
| `tables` | loading and writing rows, by the ORM |
| `postgresql` | the same, faster |
"""

from rill_django.projections.handler_results import DELETE
from rill_django.projections.rows.buffer import RowBuffer
from rill_django.projections.rows.keys import WrongKey
from rill_django.projections.rows.row_projection import RowProjection

__all__ = ["DELETE", "RowBuffer", "RowProjection", "WrongKey"]
