"""What fields cost where the rule of `schema.query_cost`, one for each object, does not fit. Keyed by `Type.field`.

The lengths of plain lists are estimates for real trees, not limits: deeper paths and longer lists are answered whole.
The surcharges were measured as processor time, on a deck of 9,000 prefixes, against an account with eight fields.
"""

from resolvers.call_orders import CALLS_MAX
from resolvers.calls import CALLS_PAGE_SIZE_MAX
from resolvers.rates import RATES_PAGE_SIZE_MAX
from resolvers.rerating import SAMPLE_MAX
from schema.query_cost import FieldCost

# Real trees have three to eight levels, and calls are charged on each.
_PATH = FieldCost(list_size=8)
# Both may pass over rates that are not shown: `search` over a whole deck, `at` over what did not hold then.
_RATES = FieldCost(page_size_max=RATES_PAGE_SIZE_MAX, arguments={"search": 10, "at": 50})
_OF_EACH_CALL = FieldCost(list_size=CALLS_MAX, input_list="calls")

FIELD_COSTS = {
    # Columns of the account's own row.
    "Account.address": FieldCost(each=0),
    # A count is read below each account, as much work as an object.
    "Account.customerCount": FieldCost(once=1),
    "Account.descendantCount": FieldCost(once=1),
    "Account.path": _PATH,
    "Account.calls": FieldCost(page_size_max=CALLS_PAGE_SIZE_MAX),
    "Account.rates": _RATES,
    "RateList.rates": _RATES,
    # The eight predefined ones and some of its own.
    "Account.rateLists": FieldCost(list_size=20),
    "Account.apiTokens": FieldCost(list_size=10),
    # A seller has a handful; a purchase brings its credit and perhaps a bonus.
    "Account.offers": FieldCost(list_size=10),
    "Purchase.transactions": FieldCost(list_size=2),
    "RecordPurchasePayload.transactions": FieldCost(list_size=2),
    "Sip.softphones": FieldCost(list_size=5, each=0),
    "Call.charges": _PATH,
    "Call.adjustments": _PATH,
    "Quote.levels": _PATH,
    "RerateCallsPayload.totals": _PATH,
    "RerateCallsPayload.sample": FieldCost(list_size=SAMPLE_MAX),
    "RerateChange.levels": _PATH,
    "AuthorizeCallsPayload.authorizations": _OF_EACH_CALL,
    "AuthorizeCallsPayload.refused": _OF_EACH_CALL,
    "ChargeCallsPayload.calls": _OF_EACH_CALL,
    "ChargeCallsPayload.refused": _OF_EACH_CALL,
    "SettleCallsPayload.calls": _OF_EACH_CALL,
    "SettleCallsPayload.refused": _OF_EACH_CALL,
}
