"""The whole schema, put together from each area's part."""

import strawberry
from strawberry.schema.config import StrawberryConfig

from schema.account import AccountQueries
from schema.account_mutations import AccountMutations
from schema.balance_subscription import BalanceSubscriptions
from schema.branding import BrandingMutations
from schema.call_limits import CallLimitMutations
from schema.call_mutations import CallMutations
from schema.calls import CallQueries
from schema.credit_mutations import CreditMutations
from schema.event_writer import EventWriters
from schema.field_costs import FIELD_COSTS
from schema.hold_mutations import HoldMutations
from schema.low_balance import LowBalanceMutations, LowBalanceSubscriptions
from schema.node import NodeQueries
from schema.offer_mutations import OfferMutations
from schema.quote import QuoteQueries
from schema.rate_mutations import RateMutations
from schema.refund_mutations import RefundMutations
from schema.rerate_mutations import RerateMutations
from schema.scalars import SCALARS
from schema.service import ServiceSchema
from schema.settings import SettingsQueries
from schema.sign_in_mutations import SignInMutations


@strawberry.type(description="Everything that can be read.")
class Query(AccountQueries, CallQueries, QuoteQueries, NodeQueries, SettingsQueries):
    pass


@strawberry.type(description="Everything that can be changed. Each answers what it changed, or `errors`.")
class Mutation(
    SignInMutations,
    AccountMutations,
    CreditMutations,
    RateMutations,
    CallMutations,
    HoldMutations,
    CallLimitMutations,
    RefundMutations,
    RerateMutations,
    LowBalanceMutations,
    OfferMutations,
    BrandingMutations,
):
    pass


@strawberry.type(description="Everything that can be watched.")
class Subscription(BalanceSubscriptions, LowBalanceSubscriptions):
    pass


schema = ServiceSchema(
    query=Query,
    mutation=Mutation,
    subscription=Subscription,
    config=StrawberryConfig(scalar_map=SCALARS),
    field_costs=FIELD_COSTS,
    event_writer=EventWriters().writer,
)


def export_schema() -> str:
    """The schema in GraphQL's schema language, as `schema.graphql` keeps it."""
    return schema.as_str() + "\n"
