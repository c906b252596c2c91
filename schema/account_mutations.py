"""Creating and changing accounts."""

from typing import Any

import strawberry
from strawberry import UNSET

from resolvers import account_actions
from schema.account import Account
from schema.account_row import load_account
from schema.errors import UserError
from schema.info import Info
from schema.mutation import Input, errors_field, mutation
from schema.node import number_of
from schema.rates import warnings_field, warnings_of_selection
from schema.scalars import Money


@strawberry.input(description="A postal address. When changing one: a line left out stays, null clears it.")
class AddressInput:
    line1: str | None = strawberry.field(default=UNSET, description="The first line: usually street and number.")
    line2: str | None = strawberry.field(default=UNSET, description="The second line.")
    postal_code: str | None = strawberry.field(default=UNSET, description="The postal code.")
    city: str | None = strawberry.field(default=UNSET, description="The city.")
    country: str | None = strawberry.field(default=UNSET, description="The country.")


@strawberry.input(description="A new customer.")
class CreateCustomerInput:
    username: str = strawberry.field(
        description="The bare name. The system adds `*` and the reseller's own bare name; typing it is an error."
    )
    password: str = strawberry.field(description="Its first password.")
    reseller_id: strawberry.ID | None = strawberry.field(
        default=None, description="Whose customer it is; the viewer's when left out. Only the operator may choose."
    )
    rate_list_id: strawberry.ID | None = strawberry.field(
        default=None, description="Its rate list; `(Predefined) 0% List` when left out."
    )
    credit: Money = strawberry.field(default=Money(0), description="Its first credit, as a credit transaction.")
    blocked: bool = strawberry.field(default=False, description="Whether it begins blocked.")
    is_reseller: bool = strawberry.field(default=False, description="Whether it is a reseller. This cannot be undone.")
    credit_limit: Money | None = strawberry.field(
        default=UNSET, description="How far below zero it may go; zero when left out."
    )
    email_address: str | None = strawberry.field(default=UNSET, description="Its e-mail address.")
    address: AddressInput | None = strawberry.field(default=UNSET, description="Its postal address.")
    telephone_numbers: list[str] | None = strawberry.field(default=UNSET, description="Its telephone numbers.")
    other_details: str | None = strawberry.field(default=UNSET, description="Whatever else is worth knowing of it.")


@strawberry.input(description="Changes of an account. What is left out stays as it is; null clears it.")
class UpdateAccountInput:
    account_id: strawberry.ID = strawberry.field(description="The account to change.")
    rate_list_id: strawberry.ID | None = strawberry.field(
        default=UNSET, description="Another rate list: a predefined one, or one of its reseller. Its reseller chooses."
    )
    is_reseller: bool | None = strawberry.field(
        default=UNSET, description="True makes it a reseller, as `makeReseller` does; false cannot undo that."
    )
    held_to_own_credit: bool | None = strawberry.field(
        default=UNSET, description="Whether what it promises its customers may not exceed its own credit."
    )
    email_address: str | None = strawberry.field(default=UNSET, description="Its e-mail address.")
    address: AddressInput | None = strawberry.field(default=UNSET, description="Its postal address; null clears it.")
    telephone_numbers: list[str] | None = strawberry.field(default=UNSET, description="All its telephone numbers.")
    other_details: str | None = strawberry.field(default=UNSET, description="Whatever else is worth knowing of it.")


@strawberry.input(description="Which account.")
class BlockAccountInput:
    account_id: strawberry.ID = strawberry.field(description="The account to block, anywhere below the viewer.")


@strawberry.input(description="Which account.")
class UnblockAccountInput:
    account_id: strawberry.ID = strawberry.field(description="The account to unblock, anywhere below the viewer.")


@strawberry.input(description="Which account.")
class MakeResellerInput:
    account_id: strawberry.ID = strawberry.field(description="The customer that becomes a reseller.")


@strawberry.input(description="A new credit limit.")
class SetCreditLimitInput:
    account_id: strawberry.ID = strawberry.field(description="The account whose limit it is.")
    credit_limit: Money | None = strawberry.field(
        description="How far below zero the balance may go. Null would be unlimited, which only the operator is."
    )


@strawberry.type(description="The answer to `createCustomer`.")
class CreateCustomerPayload:
    account: Account | None = strawberry.field(default=None, description="The new account.")
    message: str | None = strawberry.field(
        default=None, description="What was done, in words; it ends with the full username."
    )
    warnings: list[str] = warnings_field()
    errors: list[UserError] = errors_field()


@strawberry.type(description="The answer to `updateAccount`.")
class UpdateAccountPayload:
    account: Account | None = strawberry.field(default=None, description="The changed account.")
    warnings: list[str] = warnings_field()
    errors: list[UserError] = errors_field()


@strawberry.type(description="The answer to `blockAccount`.")
class BlockAccountPayload:
    account: Account | None = strawberry.field(default=None, description="The blocked account.")
    errors: list[UserError] = errors_field()


@strawberry.type(description="The answer to `unblockAccount`.")
class UnblockAccountPayload:
    account: Account | None = strawberry.field(
        default=None, description="The account, which may still be blocked from above."
    )
    errors: list[UserError] = errors_field()


@strawberry.type(description="The answer to `makeReseller`.")
class MakeResellerPayload:
    account: Account | None = strawberry.field(default=None, description="The new reseller.")
    errors: list[UserError] = errors_field()


@strawberry.type(description="The answer to `setCreditLimit`.")
class SetCreditLimitPayload:
    account: Account | None = strawberry.field(default=None, description="The account with its new limit.")
    errors: list[UserError] = errors_field()


def _details(input: CreateCustomerInput | UpdateAccountInput) -> dict[str, Any]:
    """The details that were given, by column; an address of null clears every line."""
    details = {
        "email_address": input.email_address,
        "telephone_numbers": input.telephone_numbers,
        "other_details": input.other_details,
    }
    address = input.address
    if address is None:
        address = AddressInput(line1=None, line2=None, postal_code=None, city=None, country=None)
    if address is not UNSET:
        details |= {
            "address_line1": address.line1,
            "address_line2": address.line2,
            "postal_code": address.postal_code,
            "city": address.city,
            "country": address.country,
        }
    return {column: value for column, value in details.items() if value is not UNSET}


@strawberry.type
class AccountMutations:
    @mutation(description="Create a customer. Its full username is the bare name, `*`, and its reseller's bare name.")
    async def create_customer(self, info: Info, input: Input[CreateCustomerInput]) -> CreateCustomerPayload:
        rate_list_id = number_of("RateList", input.rate_list_id)
        created = await account_actions.create_customer(
            info.context,
            reseller_id=number_of("Account", input.reseller_id),
            reseller_given=input.reseller_id is not None,
            username=input.username,
            password=input.password,
            details=_details(input),
            rate_list_id=rate_list_id,
            rate_list_given=input.rate_list_id is not None,
            credit_units=input.credit,
            credit_limit_units=0 if input.credit_limit is UNSET else input.credit_limit,
            blocked=input.blocked,
            is_reseller=input.is_reseller,
        )
        account = await load_account(info.context, created.id)
        warnings = await warnings_of_selection(info.context, account, rate_list_id)
        return CreateCustomerPayload(account=account, message=created.message, warnings=warnings)

    @mutation(description="Change an account's details: one's own, or a customer's; a customer's rate list as well.")
    async def update_account(self, info: Info, input: Input[UpdateAccountInput]) -> UpdateAccountPayload:
        account_id = number_of("Account", input.account_id)
        rate_list_given = input.rate_list_id is not UNSET
        rate_list_id = number_of("RateList", input.rate_list_id) if rate_list_given else None
        await account_actions.update_account(
            info.context,
            account_id,
            details=_details(input),
            rate_list_id=rate_list_id,
            rate_list_given=rate_list_given,
            is_reseller=None if input.is_reseller is UNSET else input.is_reseller,
            held_to_own_credit=None if input.held_to_own_credit is UNSET else input.held_to_own_credit,
        )
        account = await load_account(info.context, account_id)
        warnings = await warnings_of_selection(info.context, account, rate_list_id)
        return UpdateAccountPayload(account=account, warnings=warnings)

    @mutation(description="Block an account and everything below it from starting calls. Running calls go on.")
    async def block_account(self, info: Info, input: Input[BlockAccountInput]) -> BlockAccountPayload:
        account_id = number_of("Account", input.account_id)
        await account_actions.set_blocked(info.context, account_id, blocked=True)
        return BlockAccountPayload(account=await load_account(info.context, account_id))

    @mutation(description="Take back a block of this very account; one above it stays.")
    async def unblock_account(self, info: Info, input: Input[UnblockAccountInput]) -> UnblockAccountPayload:
        account_id = number_of("Account", input.account_id)
        await account_actions.set_blocked(info.context, account_id, blocked=False)
        return UnblockAccountPayload(account=await load_account(info.context, account_id))

    @mutation(description="Make a customer a reseller. This cannot be undone.")
    async def make_reseller(self, info: Info, input: Input[MakeResellerInput]) -> MakeResellerPayload:
        account_id = number_of("Account", input.account_id)
        await account_actions.make_reseller(info.context, account_id)
        return MakeResellerPayload(account=await load_account(info.context, account_id))

    @mutation(description="Set how far below zero a customer's balance may go.")
    async def set_credit_limit(self, info: Info, input: Input[SetCreditLimitInput]) -> SetCreditLimitPayload:
        account_id = number_of("Account", input.account_id)
        await account_actions.set_credit_limit(info.context, account_id, input.credit_limit)
        return SetCreditLimitPayload(account=await load_account(info.context, account_id))
