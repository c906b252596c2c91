"""A tree of 10,000 customers at depth 5 with rates, from a seed, written by COPY.

operator ▶ 4 resellers ▶ 5 each ▶ 5 each ▶ 100 customers each. Below the operator everybody has one of the predefined
lists. Ids are given level by level, so the whole path of a customer can be worked out from its number.
"""

import random
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any

import asyncpg

from billing import tokens
from billing.money import HUNDRED_PERCENT_E4, parse_money
from billing.tokens import Scope
from server.settings import Settings
from tests.graphql_client import CHEAP_HASH, PASSWORD

CHILDREN_BY_LEVEL = (4, 5, 5, 100)
PREFIXES = 9_000

_DISCOUNTS_PERCENT = ((5, 10), (0, 5, 10), (0, 5), (0, 5, 10, 15, 20, 25))
_INCREMENTS = ((1, 1), (1, 1), (6, 6), (30, 6), (60, 1), (60, 60))
_CREDIT_UNITS = parse_money("10000000")


@dataclass(frozen=True)
class TreeAccount:
    """One account; ``discount_percent`` names its predefined list, None the operator's deck."""

    id: int
    username: str
    path: tuple[int, ...]
    discount_percent: int | None


@dataclass(frozen=True)
class Tree:
    """The accounts by level, operator first, the prefixes of the deck, and a token that may charge everybody."""

    levels: tuple[tuple[TreeAccount, ...], ...]
    prefixes: tuple[str, ...]
    token: str

    @property
    def customers(self) -> tuple[TreeAccount, ...]:
        """Those who call."""
        return self.levels[-1]


def plan_tree(seed: int, children_by_level: Sequence[int] = CHILDREN_BY_LEVEL) -> Tree:
    """The same tree for the same seed; only the token is new. Without children the operator is the one who calls."""
    chosen = random.Random(seed)
    levels: list[tuple[TreeAccount, ...]] = [(TreeAccount(1, "operator", (1,), None),)]
    next_id = 2
    for depth, children in enumerate(children_by_level):
        kind = "customer" if depth == len(children_by_level) - 1 else f"reseller{depth + 1}-"
        level = []
        for parent in levels[-1]:
            suffix = parent.username.partition("*")[0]
            for _ in range(children):
                path = (*parent.path, next_id)
                discount = chosen.choice(_DISCOUNTS_PERCENT[depth % len(_DISCOUNTS_PERCENT)])
                level.append(TreeAccount(next_id, f"{kind}{next_id}*{suffix}", path, discount))
                next_id += 1
        levels.append(tuple(level))
    return Tree(tuple(levels), _plan_prefixes(chosen), tokens.new_secret())


def _plan_prefixes(chosen: random.Random) -> tuple[str, ...]:
    """Country codes, and what lies below them at 3 to 7 digits."""
    countries = [str(number) for number in chosen.sample(range(20, 999), 200)]
    prefixes = dict.fromkeys(countries)
    while len(prefixes) < PREFIXES:
        country = chosen.choice(countries)
        digits = chosen.randint(1, 4)
        prefixes.setdefault(country + str(chosen.randrange(10**digits)).zfill(digits))
    return tuple(prefixes)


async def write_tree(connection: "asyncpg.Connection[Any]", tree: Tree, seed: int) -> None:
    """Write the tree into a migrated, empty database. Everybody has credit enough for every benchmark.

    Only the operator can sign in, with the password of all tests.
    """
    password_hash = await Settings(**CHEAP_HASH).passwords().hash(PASSWORD)
    lists = {
        row["discount_e4"]: row["id"] for row in await connection.fetch("SELECT * FROM rate_lists WHERE NOT is_base")
    }
    base_id = await connection.fetchval("SELECT id FROM rate_lists WHERE is_base")
    accounts = [account for level in tree.levels for account in level]
    now = datetime.now(UTC)
    async with connection.transaction():
        await connection.copy_records_to_table(
            "accounts",
            columns=["id", "username", "parent_id", "path", "is_reseller", "password_hash"],
            records=[
                (
                    a.id,
                    a.username,
                    a.path[-2] if len(a.path) > 1 else None,
                    a.path,
                    len(a.path) < len(tree.levels) or a.id == 1,
                    password_hash if a.id == 1 else "",
                )
                for a in accounts
            ],
        )
        await connection.execute("SELECT setval(pg_get_serial_sequence('accounts', 'id'), $1)", len(accounts))
        await connection.execute(
            "INSERT INTO account_counts (account_id, customers, descendants) "
            "SELECT above, count(*) FILTER (WHERE above = parent_id), count(*) - 1 "
            "FROM accounts CROSS JOIN LATERAL unnest(path) AS above GROUP BY above"
        )
        await connection.execute("UPDATE rate_lists SET owner_id = 1 WHERE is_base")
        await connection.copy_records_to_table(
            "account_state",
            columns=["account_id", "balance_units", "credit_limit_units", "rate_list_id", "version"],
            records=[
                (a.id, _CREDIT_UNITS, 0, lists[a.discount_percent * HUNDRED_PERCENT_E4 // 100], 1)
                if a.discount_percent is not None
                else (a.id, 0, None, base_id, 0)
                for a in accounts
            ],
        )
        await connection.copy_records_to_table(
            "credit_transactions",
            columns=["account_id", "created_at", "kind", "amount_units", "balance_after_units", "created_by_id"],
            records=[(a.id, now, "OPENING", _CREDIT_UNITS, _CREDIT_UNITS, a.path[-2]) for a in accounts[1:]],
        )
        await _write_rates(connection, tree, base_id, random.Random(seed + 1))
        await connection.execute(
            "INSERT INTO tokens (account_id, kind, name, secret_digest, scopes) VALUES (1, $1, 'benchmark', $2, $3)",
            *(tokens.API, tokens.digest(tree.token), [Scope.CALLS_CHARGE.value]),
        )
    await connection.execute("VACUUM ANALYZE")


async def _write_rates(connection: "asyncpg.Connection[Any]", tree: Tree, base_id: int, chosen: random.Random) -> None:
    epoch = await connection.fetchval("UPDATE pricing_epoch SET epoch = epoch + 1 RETURNING epoch")
    rates = []
    for prefix in tree.prefixes:
        first_s, next_s = chosen.choice(_INCREMENTS)
        price_e8 = chosen.randrange(500_000, 60_000_000, 10_000)
        fee_e8 = chosen.choice((0, 0, 0, 0, 1_000_000))
        rates.append((base_id, prefix, f"Destination {prefix}", price_e8, fee_e8, first_s, next_s, epoch))
    await connection.copy_records_to_table(
        "rates",
        columns=[
            *("rate_list_id", "prefix", "destination", "price_per_minute_e8", "connection_fee_e8"),
            *("first_increment_s", "next_increment_s", "epoch"),
        ],
        records=rates,
    )
