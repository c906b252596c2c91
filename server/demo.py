"""The demo: a small tree with rates, credit and four weeks of calls, to try things on.

Loading it again adds nothing: the tree is made once, and each of its calls is booked once under its ``callId``. All
of it goes through the rules that everybody's changes go through.
"""

import random
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Any, Final

from sqlalchemy import exists, func, select, text
from sqlalchemy.ext.asyncio import AsyncConnection

from billing import tokens
from billing.accounts import create_customer
from billing.charge_order import ChargeOrder, ChargePolicy
from billing.credit import create_credit_transaction
from billing.money import parse_money, parse_percent, parse_rate
from billing.rate_changes import NewRate
from billing.rate_lists import base_rate_list_id, create_rate_list
from billing.rating import Price
from billing.set_rates import set_rates
from billing.tokens import Scope
from models.tables import Account, Rate, Token
from resolvers.context import Services
from server.demo_shop import open_shops
from server.services import open_services
from server.settings import Settings

_PASSWORD: Final = "demo"
_CALLS: Final = 240
_CALL_DAYS: Final = 28
_TOKEN_NAME: Final = "demo"
_TOKEN_LIFE: Final = timedelta(days=7)
# Calls go where a demo of a European shop would: the rest of the deck is there to look at.
_CALLED_PREFIXES: Final = ("43", "43664", "49", "49151", "44", "33", "39", "36", "36305", "1", "90", "381", "40", "48")
_CALLED_DIGITS: Final = 12


@dataclass(frozen=True)
class _Member:
    """One account of the demo. ``rate_list`` is one of `_Lists` that its reseller makes, or None for 0 %."""

    name: str
    reseller: str | None
    credit: str
    is_reseller: bool = False
    rate_list: str | None = None
    blocked: bool = False


@dataclass(frozen=True)
class _List:
    """A rate list of a reseller: a percentage (negative: a markup) and own prices by prefix."""

    owner: str | None
    name: str
    percent: str
    prices: tuple[tuple[str, str, str], ...] = ()


_LISTS: Final = (
    _List(None, "Resellers", "-10"),
    _List("luluka", "Partners", "-15"),
    _List("good", "Shop customers", "-25", (("43", "Austria", "0.02"), ("43664", "Austria mobile A1", "0.07"))),
    _List("nordwind", "Private customers", "-40"),
)
_MEMBERS: Final = (
    _Member("luluka", None, "1000", is_reseller=True, rate_list="Resellers"),
    _Member("good", "luluka", "400", is_reseller=True, rate_list="Partners"),
    _Member("keytyh", "good", "100", rate_list="Shop customers"),
    _Member("anna", "good", "100", rate_list="Shop customers"),
    _Member("late", "good", "5", blocked=True),
    _Member("stand", "luluka", "150", rate_list="Partners"),
    _Member("nordwind", None, "500", is_reseller=True, rate_list="Resellers"),
    _Member("kai", "nordwind", "100", rate_list="Private customers"),
)
_CALLERS: Final = ("keytyh", "anna", "stand", "kai")


@dataclass(frozen=True)
class SignIn:
    """Somebody to sign in as."""

    username: str
    password: str
    role: str


@dataclass(frozen=True)
class Demo:
    """The demo as it stands: ``loaded`` if it was made just now; ``charging_token`` may charge calls of ``caller``."""

    loaded: bool
    sign_ins: Sequence[SignIn]
    caller: str
    charging_token: str


async def load_demo(settings: Settings, database_url: str, *, on_first_start_only: bool = False) -> Demo | None:
    """Make the demo below the operator, or find the one that is there, and give it a token for a week.

    With ``on_first_start_only`` None where somebody has made accounts of its own: a real tree is left alone.
    Raises: UsernameTaken where an account of the demo's has its name but not the others.
    """
    password = _PASSWORD.ljust(settings.password_length_min, "0")
    password_hash = await settings.passwords().hash(password)
    async with open_services(settings, database_url) as services:
        return await _load(services, password, password_hash, on_first_start_only=on_first_start_only)


async def _load(services: Services, password: str, password_hash: str, *, on_first_start_only: bool) -> Demo | None:
    async with services.db.transaction() as tx:
        await tx.execute(text("SELECT pg_advisory_xact_lock(hashtext('tollpath demo'))"))
        operator = (await tx.execute(select(Account.id, Account.username).where(Account.parent_id.is_(None)))).one()
        found = await _find_members(tx, operator.username)
        loaded = len(found) < len(_MEMBERS)
        if loaded:
            if on_first_start_only and await tx.scalar(select(exists().where(Account.parent_id.is_not(None)))):
                return None
            await _make_deck(tx)
            await _make_tree(tx, operator.id, password_hash)
            found = await _find_members(tx, operator.username)
        secret = await _fresh_token(tx, found["luluka"].id)
    # What is booked already is left as it is.
    await services.charging.charge(_calls(found))
    sign_ins = [
        SignIn(found[member.name].username, password, "reseller" if member.is_reseller else "customer")
        for member in _MEMBERS
    ]
    return Demo(loaded, sign_ins, found["keytyh"].username, secret)


async def _find_members(tx: AsyncConnection, operator_username: str) -> dict[str, Any]:
    """The demo's accounts that there are, by bare name."""
    names = {f"{member.name}*{member.reseller or operator_username}": member.name for member in _MEMBERS}
    rows = await tx.execute(
        select(Account.id, Account.username, Account.path, Account.created_at).where(
            func.lower(Account.username).in_([name.lower() for name in names])
        )
    )
    by_username = {row.username.lower(): row for row in rows}
    return {bare: by_username[name.lower()] for name, bare in names.items() if name.lower() in by_username}


async def _make_deck(tx: AsyncConnection) -> None:
    """The generated base rates, unless the operator has some of its own."""
    # Not above: reading the numbering plans takes a second, and the command line imports this module for every command.
    from server.demo_deck import demo_deck

    base_id = await base_rate_list_id(tx)
    if not await tx.scalar(select(exists().where(Rate.rate_list_id == base_id))):
        await set_rates(tx, rate_list_id=base_id, rates=demo_deck())


async def _make_tree(tx: AsyncConnection, operator_id: int, password_hash: str) -> None:
    ids: dict[str | None, int] = {None: operator_id}
    list_ids: dict[str | None, int] = {}
    for member in _MEMBERS:
        reseller_id = ids[member.reseller]
        for rate_list in _LISTS:
            if rate_list.owner == member.reseller and rate_list.name not in list_ids:
                list_ids[rate_list.name] = await _make_list(tx, reseller_id, rate_list)
        created = await create_customer(
            tx,
            reseller_id=reseller_id,
            author_id=reseller_id,
            username=member.name,
            password_hash=password_hash,
            rate_list_id=list_ids.get(member.rate_list),
            credit_units=parse_money(member.credit),
            blocked=member.blocked,
            is_reseller=member.is_reseller,
            details={"email_address": f"{member.name}@example.com"},
        )
        ids[member.name] = created.id
    for amount, remark, private_remark in (
        ("25", "Paid in cash, thank you", "Receipt 17"),
        ("-5", "Correction of the last payment", "Counted twice"),
    ):
        await create_credit_transaction(
            tx,
            author_id=ids["good"],
            account_id=ids["keytyh"],
            amount_units=parse_money(amount),
            remark=remark,
            private_remark=private_remark,
            idempotency_key=f"demo {amount}",
        )
    await open_shops(tx, ids)


async def _make_list(tx: AsyncConnection, owner_id: int, rate_list: _List) -> int:
    rate_list_id = await create_rate_list(
        tx, owner_id=owner_id, name=rate_list.name, discount_e4=parse_percent(rate_list.percent)
    )
    rates = [
        NewRate(Price(parse_rate(price), 0, 60, 1, prefix, destination, False))
        for prefix, destination, price in rate_list.prices
    ]
    await set_rates(tx, rate_list_id=rate_list_id, rates=rates)
    return rate_list_id


async def _fresh_token(tx: AsyncConnection, account_id: int) -> str:
    """A token for charging calls; the one of the last time ends."""
    before = select(Token.id).where(
        Token.account_id == account_id, Token.name == _TOKEN_NAME, Token.revoked_at.is_(None)
    )
    for token_id in (await tx.execute(before)).scalars().all():
        await tokens.revoke(tx, token_id=token_id, account_id=account_id)
    secret = tokens.new_secret()
    await tokens.create_api_token(
        tx,
        account_id=account_id,
        secret=secret,
        name=_TOKEN_NAME,
        scopes=frozenset({Scope.READ, Scope.CALLS_CHARGE}),
        expires_at=datetime.now(UTC) + _TOKEN_LIFE,
    )
    return secret


def _calls(members: Mapping[str, Any]) -> list[ChargeOrder]:
    """Four weeks of calls up to the demo's making: always the same, so that loading it again finds them booked."""
    chance = random.Random("tollpath demo")
    made_at: datetime = members["luluka"].created_at
    orders = []
    for number in range(_CALLS):
        caller = members[chance.choice(_CALLERS)]
        prefix = chance.choice(_CALLED_PREFIXES)
        digits = "".join(chance.choices("123456789", k=_CALLED_DIGITS - len(prefix)))
        seconds_ago = chance.randrange(3600, _CALL_DAYS * 86_400)
        orders.append(
            ChargeOrder(
                call_id=f"demo-{number:04d}",
                path=tuple(caller.path),
                number=prefix + digits,
                caller_number=None,
                started_at=made_at.replace(microsecond=0) - timedelta(seconds=seconds_ago),
                duration_s=int(chance.expovariate(1 / 150)),
                policy=ChargePolicy.ALWAYS_CHARGE,
            )
        )
    return orders
