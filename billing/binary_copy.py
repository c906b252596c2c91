"""Rows as the bytes of PostgreSQL's binary COPY, made of columns: less work than handing rows to the driver. Pure.

"COPY", "Binary Format" in PostgreSQL's documentation: a row is the number of its columns, then each column as its
length in bytes (-1: null) and its value; numbers are big-endian.
"""

from collections.abc import Sequence
from functools import lru_cache
from itertools import chain

import numpy as np
from numpy.typing import NDArray

BEGIN = b"PGCOPY\n\xff\r\n\0" + bytes(8)
END = b"\xff\xff"
# Some 15 MB, for a large carrier's deck.
_REMEMBERED_MAX = 50_000
_NULL = (-1).to_bytes(4, "big", signed=True)


def number_rows(
    columns: Sequence[NDArray[np.int64] | None], widths: Sequence[int], *, texts: int = 0
) -> NDArray[np.void]:
    """Rows of numbers of so many bytes, as elements that lie one behind the other. A column of None is null in all.

    ``texts`` is how many columns of text the caller puts behind each of them. A boolean is a number of one byte.
    """
    count = next(len(column) for column in columns if column is not None)
    rows = np.empty(count, _row_type(tuple(widths), tuple(column is None for column in columns)))
    rows["columns"] = len(columns) + texts
    for number, (column, width) in enumerate(zip(columns, widths, strict=True)):
        rows[f"length{number}"] = -1 if column is None else width
        if column is not None:
            rows[f"value{number}"] = column
    return rows


@lru_cache
def _row_type(widths: tuple[int, ...], are_null: tuple[bool, ...]) -> np.dtype[np.void]:
    fields = [("columns", ">i2")]
    for number, (width, is_null) in enumerate(zip(widths, are_null, strict=True)):
        fields.append((f"length{number}", ">i4"))
        if not is_null:
            fields.append((f"value{number}", f">i{width}"))
    return np.dtype(fields)


def with_texts(
    numbers: NDArray[np.void], various: Sequence[Sequence[str | None]], alike: Sequence[Sequence[str | None]]
) -> bytes:
    """Rows of numbers, each with its texts (None: null) behind it.

    Those of ``alike`` come last: taken together, the same texts come again and again, and are remembered.
    """
    heads = numbers.view(f"V{numbers.dtype.itemsize}").tolist()
    tails = map(_texts, zip(*alike, strict=True))
    return b"".join(chain.from_iterable(zip(heads, *(map(_text, texts) for texts in various), tails, strict=True)))


@lru_cache(maxsize=_REMEMBERED_MAX)
def _texts(texts: Sequence[str | None]) -> bytes:
    return b"".join(map(_text, texts))


def _text(text: str | None) -> bytes:
    if text is None:
        return _NULL
    data = text.encode()
    return len(data).to_bytes(4, "big") + data
