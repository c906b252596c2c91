"""Spans that double cover a time once, without gaps, and end where months do."""

from datetime import UTC, datetime, timedelta
from itertools import pairwise

from hypothesis import given
from hypothesis import strategies as st

from resolvers.call_spans import doubling_spans

_TIMES = st.integers(0, 30 * 366 * 24).map(lambda hours: datetime(2000, 1, 1, tzinfo=UTC) + timedelta(hours=hours))


def _at(text: str) -> datetime:
    return datetime.fromisoformat(text).replace(tzinfo=UTC)


def test_spans_from_the_newest() -> None:
    assert list(doubling_spans(_at("2025-01-15"), _at("2026-03-10T12:00"), newest_first=True)) == [
        (_at("2026-03-01"), _at("2026-03-10T12:00")),
        (_at("2026-01-01"), _at("2026-03-01")),
        (_at("2025-09-01"), _at("2026-01-01")),
        (_at("2025-01-15"), _at("2025-09-01")),
    ]


def test_spans_from_the_oldest() -> None:
    assert list(doubling_spans(_at("2025-01-15"), _at("2026-03-10T12:00"), newest_first=False)) == [
        (_at("2025-01-15"), _at("2025-02-01")),
        (_at("2025-02-01"), _at("2025-04-01")),
        (_at("2025-04-01"), _at("2025-08-01")),
        (_at("2025-08-01"), _at("2026-03-10T12:00")),
    ]


def test_no_time_has_no_spans() -> None:
    for newest_first in (True, False):
        assert list(doubling_spans(_at("2026-01-01"), _at("2026-01-01"), newest_first=newest_first)) == []
        assert list(doubling_spans(_at("2026-01-02"), _at("2026-01-01"), newest_first=newest_first)) == []


def test_the_first_and_the_last_of_times_are_no_obstacle() -> None:
    first, last = datetime.min.replace(tzinfo=UTC), datetime(9999, 12, 1, tzinfo=UTC)
    assert list(doubling_spans(first, last, newest_first=True))[-1][0] == first


@given(since=_TIMES, length=st.timedeltas(timedelta(0), timedelta(days=9000)), newest_first=st.booleans())
def test_spans_cover_the_time_once(since: datetime, length: timedelta, newest_first: bool) -> None:
    spans = sorted(doubling_spans(since, since + length, newest_first=newest_first))
    assert all(one[1] == other[0] for one, other in pairwise(spans))
    assert all(start < end for start, end in spans)
    assert (spans[0][0], spans[-1][1]) == (since, since + length) if length else spans == []
    assert len(spans) <= 10
