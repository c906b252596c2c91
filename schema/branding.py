"""Branding: the type, the part of `Account` that shows it, and the mutation that sets it."""

import strawberry
from strawberry import UNSET

from resolvers.branding import BrandingRow, branding_of, update_branding
from resolvers.context import RequestContext
from schema.account_row import HasAccountRow, LazyAccount, load_account
from schema.errors import UserError
from schema.info import Info
from schema.mutation import Input, errors_field, mutation


@strawberry.type(
    description="How a reseller's back office looks. It is inherited as a whole: null means not set at all."
)
class Branding:
    name: str | None = strawberry.field(description="What it is called.")
    logo_url: str | None = strawberry.field(description="Where its logo is: an https address.")
    primary_colour: str | None = strawberry.field(description="Its main colour, such as #1a2b3c.")
    secondary_colour: str | None = strawberry.field(description="Its second colour, such as #1a2b3c.")
    owner_id: strawberry.Private[int]

    @strawberry.field(description="Whose branding it is; null where that account is above the viewer.")
    async def owner(self, info: Info) -> LazyAccount | None:
        return await load_account(info.context, self.owner_id)

    @classmethod
    def of(cls, row: BrandingRow) -> "Branding":
        return cls(
            name=row.name,
            logo_url=row.logo_url,
            primary_colour=row.primary_colour,
            secondary_colour=row.secondary_colour,
            owner_id=row.account_id,
        )


async def load_branding(context: RequestContext, account_id: int) -> Branding | None:
    """The `Branding` that the account is shown."""
    row = await branding_of(context, account_id)
    return None if row is None else Branding.of(row)


@strawberry.type
class AccountBranding(HasAccountRow):
    @strawberry.field(
        description="Its own branding, or else that of the nearest account above it that has one; null where none has."
    )
    async def branding(self, info: Info) -> Branding | None:
        return await load_branding(info.context, self.row.id)


@strawberry.input(
    description="The viewer's own branding. What is left out stays, null clears it; once all is clear, the branding "
    "from above holds again."
)
class UpdateBrandingInput:
    name: str | None = strawberry.field(default=UNSET, description="What it is called; at most 100 characters.")
    logo_url: str | None = strawberry.field(default=UNSET, description="Where its logo is: an https address.")
    primary_colour: str | None = strawberry.field(default=UNSET, description="Its main colour: # and six digits.")
    secondary_colour: str | None = strawberry.field(default=UNSET, description="Its second colour: # and six digits.")


@strawberry.type(description="The answer to `updateBranding`.")
class UpdateBrandingPayload:
    branding: Branding | None = strawberry.field(
        default=None, description="What the viewer is shown now: its own branding, or one from above."
    )
    errors: list[UserError] = errors_field()


@strawberry.type
class BrandingMutations:
    @mutation(description="Set how one's back office looks, to oneself and to everybody below who has set nothing.")
    async def update_branding(self, info: Info, input: Input[UpdateBrandingInput]) -> UpdateBrandingPayload:
        given = {
            "name": input.name,
            "logo_url": input.logo_url,
            "primary_colour": input.primary_colour,
            "secondary_colour": input.secondary_colour,
        }
        changes = {column: value for column, value in given.items() if value is not UNSET}
        account_id = await update_branding(info.context, changes)
        return UpdateBrandingPayload(branding=await load_branding(info.context, account_id))
