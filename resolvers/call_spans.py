"""A time of many months cut into spans that double, for reads that stop as soon as they have found enough. Pure."""

from collections.abc import Iterator
from datetime import UTC, date, datetime, timedelta

from models.call_month import month_of

_INSTANT = timedelta(microseconds=1)


def doubling_spans(since: datetime, until: datetime, *, newest_first: bool) -> Iterator[tuple[datetime, datetime]]:
    """From ``since`` to before ``until`` in spans of 1, 2, 4, ... UTC months, from one end to the other.

    Spans end where months do, but for those at the ends.
    """
    months = 1
    while since < until:
        if newest_first:
            edge = max(since, _month_start(month_of(until - _INSTANT), 1 - months))
            yield edge, until
            until = edge
        else:
            edge = min(until, _month_start(month_of(since), months))
            yield since, edge
            since = edge
        months *= 2


def _month_start(month: date, later: int) -> datetime:
    """The first instant of the month so many months later; the first of all times where there is none."""
    number = max(12, month.year * 12 + month.month - 1 + later)
    return datetime(number // 12, number % 12 + 1, 1, tzinfo=UTC)
