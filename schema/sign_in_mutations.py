"""Signing in and out, passwords, API tokens."""

from datetime import datetime

import strawberry

from resolvers import account_actions, api_tokens, sign_in
from resolvers.request_errors import Unauthenticated
from schema.account import Account
from schema.account_row import load_account
from schema.api_token import ApiToken, TokenScope
from schema.errors import UserError
from schema.info import Info
from schema.mutation import Input, errors_field, mutation
from schema.node import number_of


@strawberry.input(description="Who signs in.")
class LoginInput:
    username: str = strawberry.field(description="The full username, `name*suffix`, in any case.")
    password: str = strawberry.field(description="The password.")


@strawberry.type(description="The answer to `login`.")
class LoginPayload:
    token: str | None = strawberry.field(
        default=None, description="The session's secret, for `Authorization: Bearer`. It is shown this once."
    )
    expires_at: datetime | None = strawberry.field(default=None, description="When the session ends by itself.")
    viewer: Account | None = strawberry.field(default=None, description="The account that signed in.")
    errors: list[UserError] = errors_field()


@strawberry.type(description="The answer to `logout`.")
class LogoutPayload:
    errors: list[UserError] = errors_field()


@strawberry.input(
    description="A new password: one's own with the current one, or, by its reseller, a customer's with `accountId`."
)
class ChangePasswordInput:
    new_password: str = strawberry.field(description="The new password.")
    current_password: str | None = strawberry.field(
        default=None, description="The current password; needed to change one's own."
    )
    account_id: strawberry.ID | None = strawberry.field(
        default=None, description="The customer whose password it is; one's own when left out."
    )


@strawberry.type(description="The answer to `changePassword`.")
class ChangePasswordPayload:
    account: Account | None = strawberry.field(default=None, description="The account with the new password.")
    errors: list[UserError] = errors_field()


@strawberry.input(description="A new API token.")
class CreateApiTokenInput:
    name: str = strawberry.field(description="What to call it.")
    scopes: list[TokenScope] = strawberry.field(  # type: ignore[valid-type]
        description="What it may be used for; nothing that the viewer's own token may not."
    )
    expires_at: datetime | None = strawberry.field(
        default=None, description="When it ends by itself; never when left out."
    )


@strawberry.type(description="The answer to `createApiToken`.")
class CreateApiTokenPayload:
    token: str | None = strawberry.field(
        default=None, description="The secret, for `Authorization: Bearer`. It is shown this once."
    )
    api_token: ApiToken | None = strawberry.field(default=None, description="The new token.")
    errors: list[UserError] = errors_field()


@strawberry.input(description="Which API token to end.")
class RevokeApiTokenInput:
    token_id: strawberry.ID = strawberry.field(description="The id of one of the viewer's own API tokens.")


@strawberry.type(description="The answer to `revokeApiToken`.")
class RevokeApiTokenPayload:
    api_token: ApiToken | None = strawberry.field(default=None, description="The token that has ended.")
    errors: list[UserError] = errors_field()


@strawberry.type
class SignInMutations:
    @mutation(
        description="Sign in: a new session. The rest of the request runs as the account. After too many wrong "
        "passwords for the account or from one address within a minute the answer is the top-level error THROTTLED.",
        scope=None,
    )
    async def login(self, info: Info, input: Input[LoginInput]) -> LoginPayload:
        context = info.context
        signed_in = await sign_in.login(
            context.services,
            username=input.username,
            password=input.password,
            client_address=context.client_address,
        )
        context.viewer = signed_in.viewer
        return LoginPayload(
            token=signed_in.secret,
            expires_at=signed_in.expires_at,
            viewer=await load_account(context, signed_in.viewer.account_id),
        )

    @mutation(description="Sign out: the token of this request ends at once.", scope=None)
    async def logout(self, info: Info) -> LogoutPayload:
        viewer = info.context.viewer
        if viewer is None:
            raise Unauthenticated
        await sign_in.logout(info.context.services, viewer)
        info.context.viewer = None
        return LogoutPayload()

    @mutation(description="Change a password. The account's other sessions end; API tokens go on.")
    async def change_password(self, info: Info, input: Input[ChangePasswordInput]) -> ChangePasswordPayload:
        account_id = await account_actions.change_password(
            info.context,
            number_of("Account", input.account_id),
            account_given=input.account_id is not None,
            current=input.current_password,
            new=input.new_password,
        )
        return ChangePasswordPayload(account=await load_account(info.context, account_id))

    @mutation(description="Create a token for a program.")
    async def create_api_token(self, info: Info, input: Input[CreateApiTokenInput]) -> CreateApiTokenPayload:
        secret, row = await api_tokens.create_api_token(
            info.context, name=input.name, scopes=frozenset(input.scopes), expires_at=input.expires_at
        )
        return CreateApiTokenPayload(token=secret, api_token=ApiToken.of(row))

    @mutation(description="End one of the viewer's API tokens at once.")
    async def revoke_api_token(self, info: Info, input: Input[RevokeApiTokenInput]) -> RevokeApiTokenPayload:
        row = await api_tokens.revoke_api_token(info.context, number_of("ApiToken", input.token_id))
        return RevokeApiTokenPayload(api_token=ApiToken.of(row))
