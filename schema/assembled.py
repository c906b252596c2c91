"""The whole schema, put together from each area's part."""

import strawberry
from strawberry.schema.config import StrawberryConfig

from schema.call_mutations import CallMutations
from schema.calls import CallQueries
from schema.scalars import SCALARS
from schema.service import ServiceSchema
from schema.settings import SettingsQueries
from schema.viewer import ViewerQueries


@strawberry.type(description="Everything that can be read.")
class Query(ViewerQueries, CallQueries, SettingsQueries):
    pass


@strawberry.type(description="Everything that can be changed.")
class Mutation(CallMutations):
    pass


schema = ServiceSchema(
    query=Query,
    mutation=Mutation,
    config=StrawberryConfig(scalar_map=SCALARS),
)


def export_schema() -> str:
    """The schema in GraphQL's schema language, as `schema.graphql` keeps it."""
    return schema.as_str() + "\n"
