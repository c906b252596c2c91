"""Which exports there are, and which parameters each takes: those of the GraphQL list that it is made of."""

from collections.abc import Callable, Mapping

from billing.charge_order import CallStatus
from resolvers.account_lists import AccountFilter, AccountOrder, AccountOrderField
from resolvers.accounts import AccountRow, visible_account, visible_account_by_username
from resolvers.call_filter import SortDirection, call_filter
from resolvers.context import RequestContext
from resolvers.export_calls import export_calls
from resolvers.export_customers import export_customers
from resolvers.export_rates import export_rates
from resolvers.export_transactions import export_transactions
from resolvers.exports import Export
from resolvers.rates import rate_filter
from resolvers.request_errors import BadUserInput, NoSuchThing
from schema.node import number_of
from server.exports.parameters import Parameters


async def exported_account(context: RequestContext, given: Parameters) -> AccountRow:
    """The account named by ``accountId`` or ``username``; by default the viewer's own.

    Raises: Unauthenticated, Forbidden, BadUserInput; NoSuchThing where it does not exist for the viewer.
    """
    viewer = context.require_viewer()
    account_id, username = given.text("accountId"), given.text("username")
    if account_id is not None and username is not None:
        raise BadUserInput("Give `accountId` or `username`, one of them.")
    if username is not None:
        account = await visible_account_by_username(context, username)
    else:
        number = viewer.account_id if account_id is None else number_of("Account", account_id)
        account = await visible_account(context, number)
    if account is None:
        raise NoSuchThing("There is no such account.")
    return account


def _calls(context: RequestContext, account: AccountRow, given: Parameters) -> Export:
    chosen = call_filter(
        given.instant("since"),
        given.instant("until"),
        given.text("number"),
        given.choice("direction", SortDirection.DESC),
        destination=given.text("destination"),
        status=given.choice_of("status", CallStatus),
    )
    return export_calls(context, account, chosen)


def _rates(context: RequestContext, account: AccountRow, given: Parameters) -> Export:
    chosen = rate_filter(given.text("prefix"), given.text("search"))
    return export_rates(context, account, chosen, given.instant("at"))


def _transactions(context: RequestContext, account: AccountRow, given: Parameters) -> Export:
    return export_transactions(context, account, given.instant("since"), given.instant("until"))


def _customers(context: RequestContext, account: AccountRow, given: Parameters) -> Export:
    wanted = AccountFilter(given.text("search"), given.flag("isReseller"), given.flag("blocked"))
    order = AccountOrder(given.choice("orderBy", AccountOrderField.USERNAME), given.flag("descending") or False)
    return export_customers(context, account, wanted, order, given.day("since"), given.day("until"))


# Each raises BadUserInput for a value that means nothing.
KINDS: Mapping[str, Callable[[RequestContext, AccountRow, Parameters], Export]] = {
    "calls": _calls,
    "rates": _rates,
    "transactions": _transactions,
    "customers": _customers,
}
