"""Whatever a batch may be asked for, and what it answers."""

from billing.charge_order import ChargeOrder, Outcome
from billing.errors import Refusal
from billing.hold_order import Authorization, AuthorizeOrder, EndPending, ExtendOrder, SettleOrder

Order = ChargeOrder | AuthorizeOrder | ExtendOrder | SettleOrder
Answer = Outcome | Authorization | EndPending | Refusal
