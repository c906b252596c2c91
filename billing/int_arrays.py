"""Arrays of whole numbers as PostgreSQL reads them in a text, for parameters ``$1::text::bigint[]``. Pure.

The driver asks of each element of an array whether it is one itself: 0.19 us a number. A text costs us 0.01 us, and
PostgreSQL 0.07 instead of 0.04.
"""

from collections.abc import Sequence

import orjson


def int_array(numbers: Sequence[int | None]) -> str:
    """``{1,2,null}``.

    Raises: orjson.JSONEncodeError: a number has more than 64 bits. PostgreSQL refuses those from 2**63 on.
    """
    return f"{{{orjson.dumps(numbers)[1:-1].decode()}}}"
