"""Changing rate lists and rates."""

from datetime import datetime

import strawberry
from strawberry import UNSET

from billing.rate_changes import NewRate
from billing.rating import Price as RatedPrice
from resolvers import rate_list_actions
from schema.errors import UserError
from schema.info import Info
from schema.mutation import Input, errors_field, mutation
from schema.node import number_of
from schema.rates import RateList, load_rate_list, warnings_field, warnings_of
from schema.scalars import Percent, Price


@strawberry.input(description="A new rate list of the viewer.")
class CreateRateListInput:
    name: str = strawberry.field(description="Its name, unique among the viewer's lists whatever the case.")
    discount_percent: Percent = strawberry.field(
        default=Percent(0), description="Off the viewer's own price; negative is a markup: `-20` adds a fifth."
    )


@strawberry.input(description="Changes of a rate list. What is left out stays as it is.")
class UpdateRateListInput:
    rate_list_id: strawberry.ID = strawberry.field(description="The list to change.")
    name: str | None = strawberry.field(default=UNSET, description="Another name.")
    discount_percent: Percent | None = strawberry.field(default=UNSET, description="Another percentage, from now on.")


@strawberry.input(description="Which rate list.")
class DeleteRateListInput:
    rate_list_id: strawberry.ID = strawberry.field(description="The list to delete; no account may have it selected.")


@strawberry.input(description="What a prefix costs.")
class RateInput:
    prefix: str = strawberry.field(description="1 to 15 digits, country code first.")
    destination: str | None = strawberry.field(
        default=None, description="The name of the destination; of a reseller's own rate by default the upper level's."
    )
    price_per_minute: Price = strawberry.field(description="The price of sixty billed seconds.")
    connection_fee: Price = strawberry.field(default=Price(0), description="What a call costs besides, once.")
    first_increment_seconds: int = strawberry.field(default=1, description="The least that is billed of a call.")
    next_increment_seconds: int = strawberry.field(default=1, description="What is billed at a time beyond the first.")
    effective_from: datetime | None = strawberry.field(
        default=None,
        description="From when it holds, in the future or, to mend a rate, in the past. When left out: the first rate "
        "of a prefix since ever, a later one from now on.",
    )
    blocked: bool = strawberry.field(default=False, description="Whether calls there are refused.")


@strawberry.input(description="New rates of a list.")
class SetRatesInput:
    rate_list_id: strawberry.ID = strawberry.field(description="The list whose rates they are.")
    rates: list[RateInput] = strawberry.field(description="The rates; each prefix (and time) once.")
    replace: bool = strawberry.field(
        default=False, description="Whether prefixes of the list that are not among them are withdrawn."
    )


@strawberry.type(description="The answer to `createRateList`.")
class CreateRateListPayload:
    rate_list: RateList | None = strawberry.field(default=None, description="The new list.")
    warnings: list[str] = warnings_field()
    errors: list[UserError] = errors_field()


@strawberry.type(description="The answer to `updateRateList`.")
class UpdateRateListPayload:
    rate_list: RateList | None = strawberry.field(default=None, description="The changed list.")
    warnings: list[str] = warnings_field()
    errors: list[UserError] = errors_field()


@strawberry.type(description="The answer to `deleteRateList`.")
class DeleteRateListPayload:
    rate_list: RateList | None = strawberry.field(default=None, description="The list as it was; it is gone now.")
    errors: list[UserError] = errors_field()


@strawberry.type(description="The answer to `setRates`.")
class SetRatesPayload:
    rate_list: RateList | None = strawberry.field(default=None, description="The list with its new rates.")
    changed: int = strawberry.field(
        default=0, description="How many prefixes were added, changed or withdrawn; the others held already."
    )
    errors: list[UserError] = errors_field()


def _new_rate(rate: RateInput) -> NewRate:
    price = RatedPrice(
        price_per_minute_e8=rate.price_per_minute,
        connection_fee_e8=rate.connection_fee,
        first_increment_s=rate.first_increment_seconds,
        next_increment_s=rate.next_increment_seconds,
        prefix=rate.prefix,
        destination=rate.destination,
        blocked=rate.blocked,
    )
    return NewRate(price, rate.effective_from)


@strawberry.type
class RateMutations:
    @mutation(description="Create a rate list for one's customers. A discount above 0 is answered with a warning.")
    async def create_rate_list(self, info: Info, input: Input[CreateRateListInput]) -> CreateRateListPayload:
        rate_list_id = await rate_list_actions.create_rate_list(
            info.context, name=input.name, discount_e4=input.discount_percent
        )
        rate_list = await load_rate_list(info.context, rate_list_id)
        return CreateRateListPayload(rate_list=rate_list, warnings=warnings_of(rate_list))

    @mutation(description="Rename a rate list or change its percentage, which holds at once.")
    async def update_rate_list(self, info: Info, input: Input[UpdateRateListInput]) -> UpdateRateListPayload:
        rate_list_id = await rate_list_actions.update_rate_list(
            info.context,
            number_of("RateList", input.rate_list_id),
            name=None if input.name is UNSET else input.name,
            discount_e4=None if input.discount_percent is UNSET else input.discount_percent,
        )
        rate_list = await load_rate_list(info.context, rate_list_id)
        return UpdateRateListPayload(rate_list=rate_list, warnings=warnings_of(rate_list))

    @mutation(description="Delete a rate list that no account has selected.")
    async def delete_rate_list(self, info: Info, input: Input[DeleteRateListInput]) -> DeleteRateListPayload:
        row = await rate_list_actions.delete_rate_list(info.context, number_of("RateList", input.rate_list_id))
        return DeleteRateListPayload(rate_list=RateList.of(row))

    @mutation(
        description="Set rates of a list, all or none. They hold at once, for everybody below; calls that began before "
        "keep the price of their start."
    )
    async def set_rates(self, info: Info, input: Input[SetRatesInput]) -> SetRatesPayload:
        rate_list_id, changed = await rate_list_actions.change_rates(
            info.context,
            number_of("RateList", input.rate_list_id),
            [_new_rate(rate) for rate in input.rates],
            replace=input.replace,
        )
        return SetRatesPayload(rate_list=await load_rate_list(info.context, rate_list_id), changed=changed)
