"""Rows that are named tuples, and the columns that they come to. Pure.

A batch has thousands of rows, and a step of Python for each column of each is most of the work that is done with them.
"""

from collections.abc import Iterable, Sequence
from functools import partial
from typing import Any, TypeVar

Row = TypeVar("Row", bound=tuple[Any, ...])


def columns_of(rows: Sequence[Row]) -> Any:
    """At least one row, as one row whose fields are the columns: a tuple each."""
    return type(rows[0])(*zip(*rows, strict=True))


def rows_of(row_type: type[Row], *columns: Iterable[Any]) -> list[Row]:
    """A row for each place of the columns, one a field and as many as the shortest has."""
    return list(map(partial(tuple.__new__, row_type), zip(*columns, strict=False)))
