"""Every table, by name: importing this module fills the metadata that migrations are compared with."""

from models.account import Account, AccountCount, AccountState
from models.base import Base
from models.branding import Branding
from models.call import CALL_NO_BLOCK, Call, CallKey, Charge, call_no_blocks
from models.call_adjustment import CallAdjustment
from models.call_limits import CallLimits
from models.call_month import ClosedMonth, ClosedUsage
from models.credit import CreditTransaction, IdempotencyKey
from models.hold import EarlyEnd, Hold
from models.low_balance import LowBalanceNotice, LowBalanceWatch
from models.offer import Offer, Purchase
from models.rate import PricingEpoch, Rate, RateList
from models.token import Token
from models.usage import UsageDay, usage_parts

__all__ = [
    "CALL_NO_BLOCK",
    "Account",
    "AccountCount",
    "AccountState",
    "Base",
    "Branding",
    "Call",
    "CallAdjustment",
    "CallKey",
    "CallLimits",
    "Charge",
    "ClosedMonth",
    "ClosedUsage",
    "CreditTransaction",
    "EarlyEnd",
    "Hold",
    "IdempotencyKey",
    "LowBalanceNotice",
    "LowBalanceWatch",
    "Offer",
    "PricingEpoch",
    "Purchase",
    "Rate",
    "RateList",
    "Token",
    "UsageDay",
    "call_no_blocks",
    "usage_parts",
]
