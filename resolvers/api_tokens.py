"""API tokens of the viewer: making, listing, revoking."""

from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any

from sqlalchemy import Select, select

from billing import tokens
from billing.errors import InvalidInput, NotAllowed, NotFound
from billing.texts import DETAIL_LENGTH_MAX, check_text
from billing.tokens import Scope
from models.tables import Token
from resolvers.context import RequestContext


@dataclass(frozen=True, slots=True)
class ApiTokenRow:
    """An API token; its secret is known to nobody but who was shown it."""

    id: int
    name: str
    scopes: tuple[Scope, ...]
    created_at: datetime
    expires_at: datetime | None
    revoked_at: datetime | None


async def create_api_token(
    context: RequestContext, *, name: str, scopes: frozenset[Scope], expires_at: datetime | None
) -> tuple[str, ApiTokenRow]:
    """A new token of the viewer, with its secret. It carries no scope that the viewer's own token does not.

    Raises: NotAllowed, InvalidInput.
    """
    viewer = context.require_viewer(Scope.MANAGE)
    check_text(name, length_min=1, length_max=DETAIL_LENGTH_MAX, path=("name",))
    if not scopes:
        raise InvalidInput("Give at least one scope.", path=("scopes",))
    if missing := [scope.value for scope in Scope if scope in scopes - viewer.scopes]:
        raise NotAllowed(f"You do not have the scope {missing[0]} yourself.", path=("scopes",))
    if expires_at is not None and expires_at <= datetime.now(UTC):
        raise InvalidInput("The token would have expired already.", path=("expiresAt",))
    secret = tokens.new_secret()
    async with context.transaction() as tx:
        token_id = await tokens.create_api_token(
            tx, account_id=viewer.account_id, secret=secret, name=name, scopes=scopes, expires_at=expires_at
        )
    return secret, await _own_token(context, viewer.account_id, token_id)


async def revoke_api_token(context: RequestContext, token_id: int | None) -> ApiTokenRow:
    """End one of the viewer's API tokens at once; once more changes nothing. Raises: NotFound."""
    viewer = context.require_viewer(Scope.MANAGE)
    if token_id is None:
        raise NotFound("There is no such token.", path=("tokenId",))
    await _own_token(context, viewer.account_id, token_id)
    async with context.transaction() as tx:
        await tokens.revoke(tx, token_id=token_id, account_id=viewer.account_id)
    return await _own_token(context, viewer.account_id, token_id)


async def api_tokens_of_viewer(context: RequestContext) -> list[ApiTokenRow]:
    """The viewer's API tokens that have not been revoked, newest first."""
    viewer = context.require_viewer()
    statement = _select(viewer.account_id).where(Token.revoked_at.is_(None)).order_by(Token.id.desc())
    async with context.services.db.read() as connection:
        return [_row(row) for row in await connection.execute(statement)]


async def _own_token(context: RequestContext, account_id: int, token_id: int) -> ApiTokenRow:
    async with context.services.db.read() as connection:
        found = (await connection.execute(_select(account_id).where(Token.id == token_id))).one_or_none()
    if found is None:
        raise NotFound("There is no such token.", path=("tokenId",))
    return _row(found)


def _select(account_id: int) -> Select[*tuple[Any, ...]]:
    return select(Token.id, Token.name, Token.scopes, Token.created_at, Token.expires_at, Token.revoked_at).where(
        Token.account_id == account_id, Token.kind == tokens.API
    )


def _row(row: Any) -> ApiTokenRow:
    fields = {name: row._mapping[name] for name in ApiTokenRow.__slots__}
    fields["scopes"] = tuple(Scope(scope) for scope in fields["scopes"])
    return ApiTokenRow(**fields)
