"""Many calls checked in one go, against each of them checked alone."""

from datetime import UTC, datetime, timedelta
from typing import Any

from hypothesis import given
from hypothesis import strategies as st

from billing.charge_order import (
    CALL_ID_LENGTH_MAX,
    DURATION_S_MAX,
    ChargeOrder,
    ChargePolicy,
    parse_order,
    parse_orders,
)
from billing.columns import columns_of
from billing.errors import Refusal

NOW = datetime(2026, 11, 30, 12, tzinfo=UTC)
TODAY = timedelta(days=1)
PATH = (1, 2, 3)

call_ids = st.one_of(st.uuids().map(str), st.sampled_from(["x" * CALL_ID_LENGTH_MAX, "Größe 1"]))
odd_call_ids = st.sampled_from(["", "x" * (CALL_ID_LENGTH_MAX + 1), "a\nb", "a\0b", "\x7f"])
numbers = st.text("0123456789", min_size=1, max_size=15).filter(lambda text: not text.startswith("00"))
odd_numbers = st.sampled_from(["", "+43664", "0043664", "00", "43 664", "1" * 16, "٤٣", "²", "43(0)664"])
caller_numbers = st.one_of(st.none(), st.just(""), st.just("anonymous"), numbers)
odd_caller_numbers = st.sampled_from(["1" * (CALL_ID_LENGTH_MAX + 1), "4\t3"])
starts = st.sampled_from([NOW, NOW + TODAY, datetime(2000, 1, 1, tzinfo=UTC)])
odd_starts = st.sampled_from([NOW + TODAY + timedelta(microseconds=1), datetime(1999, 12, 31, 23, 59, 59, tzinfo=UTC)])
durations_s = st.sampled_from([0, 1, DURATION_S_MAX])
odd_durations_s = st.sampled_from([-1, DURATION_S_MAX + 1])


@st.composite
def calls(draw: st.DrawFn) -> tuple[ChargeOrder, bool]:
    """A call as a switch tells it, and whether something about it is odd."""
    columns: list[tuple[st.SearchStrategy[Any], st.SearchStrategy[Any]]] = [
        (call_ids, odd_call_ids),
        (numbers, odd_numbers),
        (caller_numbers, odd_caller_numbers),
        (starts, odd_starts),
        (durations_s, odd_durations_s),
    ]
    odd = draw(st.one_of(st.just(-1), st.sampled_from([-1, *range(len(columns))])))
    call_id, number, caller_number, started_at, duration_s = (
        draw(strange if place == odd else usual) for place, (usual, strange) in enumerate(columns)
    )
    order = ChargeOrder(call_id, PATH, number, caller_number, started_at, duration_s, ChargePolicy.ALWAYS_CHARGE, 2)
    return order, odd >= 0


def alone(call: ChargeOrder) -> ChargeOrder | None:
    """The order of a call that is checked alone; None if it is refused."""
    try:
        return parse_order(
            call_id=call.call_id,
            path=call.path,
            number=call.number,
            caller_number=call.caller_number,
            started_at=call.started_at,
            duration_s=call.duration_s,
            policy=call.policy,
            now=NOW,
            reporter_id=call.reporter_id,
        )
    except Refusal:
        return None


@given(st.lists(calls(), min_size=1, max_size=8))
def test_calls_checked_together_are_those_checked_alone(given_calls: list[tuple[ChargeOrder, bool]]) -> None:
    told = columns_of([call for call, _ in given_calls])
    together = parse_orders(
        call_ids=told.call_id,
        paths=told.path,
        numbers=told.number,
        caller_numbers=told.caller_number,
        started_at=told.started_at,
        durations_s=told.duration_s,
        policy=ChargePolicy.ALWAYS_CHARGE,
        now=NOW,
        reporter_id=2,
    )
    if any(odd for _, odd in given_calls):
        assert together is None
    else:
        assert together == [alone(call) for call, _ in given_calls]
