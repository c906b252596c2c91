"""What is drawn for a hold's life: mostly orders about calls that are held, some about any call."""

from datetime import timedelta
from fractions import Fraction

from hypothesis import strategies as st

from tests.hold_life_world import BEGUN, NEW_PRICES
from tests.reference_ledger import Rate

callers = st.sampled_from(["customer", "customer", "other", "lower"])
reporters = st.sampled_from(["operator", "reseller", "reseller", "reseller", "lower", "customer", "other"])
# Whose switch asks: a level of the path, operator first, or nobody in particular.
levels = st.sampled_from([None, None, 0, 1, 1, 2, 3])
CALL_IDS = [f"call {number:02}" for number in range(1, 13)]
any_call = st.sampled_from(CALL_IDS)
held_call = st.runner().flatmap(lambda life: st.sampled_from(sorted(life.batch.holds) or CALL_IDS))
new_call = st.runner().flatmap(lambda life: st.sampled_from(life.unknown_calls() or CALL_IDS))
numbers = st.sampled_from(["431", "431", "432"])
starts = st.sampled_from([BEGUN, BEGUN - timedelta(hours=1), NEW_PRICES + timedelta(hours=1)])
instants = st.one_of(st.none(), starts)
durations = st.sampled_from([0, 1, 30, 60, 61, 90, 200, 900])
amounts = st.one_of(st.sampled_from([300_000, 10_000_000]), st.integers(0, 3_000_000))
e8_amounts = st.one_of(st.sampled_from([0, 1, 10**8]), st.integers(0, 2 * 10**8), st.integers(0, 10**7))


def at_level(path: tuple[int, ...], level: int | None) -> int | None:
    """The account at a level of the path, or at its end."""
    return None if level is None else path[min(level, len(path) - 1)]


@st.composite
def rates(draw: st.DrawFn) -> Rate:
    first_s, next_s = draw(st.sampled_from([(1, 1), (1, 1), (60, 60), (30, 6), (60, 11), (90, 7)]))
    per_minute, fee = Fraction(draw(e8_amounts), 10**8), Fraction(draw(st.sampled_from([0, 0, 10**6, 10**8])), 10**8)
    return Rate("43", per_minute, fee, first_s, next_s)
