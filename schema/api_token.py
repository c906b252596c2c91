"""The `ApiToken` type, and the part of `Account` that lists the viewer's own."""

from datetime import datetime

import strawberry

from billing import tokens
from resolvers.api_tokens import ApiTokenRow, api_tokens_of_viewer
from schema.account_row import HasAccountRow
from schema.enums import graphql_enum
from schema.info import Info
from schema.node import global_id

TokenScope = graphql_enum(
    tokens.Scope,
    name="TokenScope",
    description="What a token may be used for.",
    values={
        "READ": "Reading: every query and subscription.",
        "MANAGE": "Changing accounts, credit, rate lists, tokens and passwords.",
        "CALLS_CHARGE": "Charging and authorizing calls of the token owner's subtree.",
    },
)


@strawberry.type(description="A token for programs. Its secret was shown once, when it was created.")
class ApiToken:
    id: strawberry.ID = strawberry.field(description="The id, for `revokeApiToken`.")
    name: str = strawberry.field(description="What its owner calls it.")
    scopes: list[TokenScope] = strawberry.field(description="What it may be used for.")  # type: ignore[valid-type]
    created_at: datetime = strawberry.field(description="When it was created.")
    expires_at: datetime | None = strawberry.field(description="When it ends by itself; null where it does not.")
    revoked_at: datetime | None = strawberry.field(description="When it was revoked; null where it was not.")

    @classmethod
    def of(cls, row: ApiTokenRow) -> "ApiToken":
        return cls(
            id=global_id("ApiToken", row.id),
            name=row.name,
            scopes=list(row.scopes),
            created_at=row.created_at,
            expires_at=row.expires_at,
            revoked_at=row.revoked_at,
        )


@strawberry.type
class AccountApiTokens(HasAccountRow):
    @strawberry.field(
        description="Its API tokens that have not been revoked, newest first. Everybody sees its own only: null for "
        "other accounts."
    )
    async def api_tokens(self, info: Info) -> list[ApiToken] | None:
        if info.context.require_viewer(scope=None).account_id != self.row.id:
            return None
        return [ApiToken.of(row) for row in await api_tokens_of_viewer(info.context)]
