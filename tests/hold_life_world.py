"""What a hold's life is played on: a tree with two branches, prices that change once, and the rows between batches."""

from dataclasses import dataclass, field, replace
from datetime import UTC, datetime, timedelta
from fractions import Fraction

from billing.call_batch import CallBatch
from billing.charge_order import BookedCall, ChargeOrder
from billing.hold_order import AuthorizeOrder, EarlyEnd, ExtendOrder, Hold, HoldRules, SettleOrder
from billing.rating import Price
from tests.reference_holds import Authorized, HoldLedger
from tests.reference_ledger import Account, Call, Outcome, Rate

BEGUN = datetime(2026, 3, 1, 12, tzinfo=UTC)
RULES = HoldRules(slice_s=60, ttl_s=120, call_duration_max_s=600)
# operator ▶ reseller ▶ lower reseller ▶ customer; the other customer is the upper reseller's own.
PATHS = {"operator": (1,), "reseller": (1, 2), "lower": (1, 2, 3), "customer": (1, 2, 3, 4), "other": (1, 2, 5)}
NAMES = {path[-1]: name for name, path in PATHS.items()}
IDS = {name: path[-1] for name, path in PATHS.items()}
# Prices are others from here on; so a call may have begun, and be held, at either.
NEW_PRICES = BEGUN + timedelta(minutes=4)


def units(amount: Fraction) -> int:
    """An amount of the ledger as the product has it."""
    found = amount * 10**5
    assert found.denominator == 1
    return found.numerator


def price(rate: Rate | None) -> Price | None:
    """A rate of the ledger as the product has it."""
    if rate is None:
        return None
    per_minute_e8, fee_e8 = int(rate.per_minute * 10**8), int(rate.fee * 10**8)
    return Price(per_minute_e8, fee_e8, rate.first_s, rate.next_s, rate.prefix, None, False)


class PricedLedger(HoldLedger):
    """The naive ledger with the price of each account, number and time given, instead of worked out from lists."""

    def __init__(self) -> None:
        super().__init__("operator", RULES.slice_s, RULES.ttl_s, RULES.call_duration_max_s)
        self.rates_of: dict[tuple[str, str, bool], Rate | None] = {}

    def prices(self, account: Account, number: str, at: datetime) -> list[Rate | None]:
        path = account.path()
        names = [next(name for name, one in self.accounts.items() if one is level) for level in path]
        return [self.rates_of[name, number, at >= NEW_PRICES] for name in names]


@dataclass
class Kept:
    """The rows between two batches."""

    balance: dict[int, int] = field(default_factory=dict)
    held: dict[int, int] = field(default_factory=dict)
    booked: dict[str, BookedCall] = field(default_factory=dict)
    holds: dict[str, Hold] = field(default_factory=dict)
    early_ends: dict[str, dict[int, EarlyEnd]] = field(default_factory=dict)

    def put(self, batch: CallBatch) -> None:
        """Write what the batch has changed, as the product does."""
        for call, rated in batch.new_calls:
            assert call.call_id not in self.booked
            self.booked[call.call_id] = call
            for account_id, amount in zip(rated.order.path, rated.amounts, strict=True):
                self.balance[account_id] -= amount
        for account_id, change in batch.held_changes.items():
            self.held[account_id] += change
        for call_id in batch.touched:
            if call_id in batch.holds:
                self.holds[call_id] = replace(batch.holds[call_id])
            for reporter_id, end in batch.early_ends.get(call_id, {}).items():
                self.early_ends.setdefault(call_id, {}).setdefault(reporter_id, end)
            if call_id in batch.booked:
                self.holds.pop(call_id, None)
                self.early_ends.pop(call_id, None)


Order = AuthorizeOrder | ExtendOrder | SettleOrder | ChargeOrder


def answer_of(ledger: HoldLedger, order: Order, now: datetime) -> Authorized | Outcome:
    """What the ledger says to an order of the product, once it has carried it out."""
    match order:
        case AuthorizeOrder():
            caller, asker = NAMES[order.path[-1]], NAMES[order.authorizer_id or order.path[-1]]
            return ledger.authorize(order.call_id, caller, order.number, order.at, asker, now)
        case ExtendOrder():
            return ledger.extend(order.call_id, order.sequence, order.talked_s, NAMES[order.reporter_id], now)
        case SettleOrder():
            return ledger.settle(
                order.call_id, order.duration_s, order.started_at, NAMES[order.reporter_id], released=order.released
            )
        case ChargeOrder():
            caller = NAMES[order.path[-1]]
            call = Call(order.call_id, caller, order.number, order.started_at, order.duration_s)
            reporter = NAMES[order.reporter_id] if order.reporter_id is not None else None
            return ledger.charge(call, order.policy.value, reporter)
