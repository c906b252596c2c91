"""The directory remembers who an account is, and forgets without losing anybody it was asked for."""

import asyncio
from collections.abc import AsyncIterator

import pytest

import resolvers.account_directory
from models.database import Database
from resolvers.account_directory import AccountDirectory, AccountRef
from tests.charging_world import Member, charging_world


@pytest.fixture
async def members(db: Database) -> AsyncIterator[list[Member]]:
    async with charging_world(db) as world:
        good = await world.reseller("good", of=world.operator)
        yield [world.operator, good, *[await world.customer(f"c{number}", of=good) for number in range(6)]]


def refs(members: list[Member]) -> list[AccountRef]:
    return [AccountRef(member.id, member.username, member.path) for member in members]


async def test_accounts_are_found_by_id_and_by_username_in_any_case(db: Database, members: list[Member]) -> None:
    directory = AccountDirectory(db)
    ids = [member.id for member in members]
    assert await directory.by_id([*ids, 999_999]) == dict(zip(ids, refs(members), strict=True))
    found = await directory.by_username(["GOOD*op", "c1*good", "nobody*op", "\0"])
    assert found == {"GOOD*op": refs(members)[1], "c1*good": refs(members)[3]}


async def test_a_full_directory_starts_anew_and_still_answers_all_it_is_asked(
    db: Database, members: list[Member], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(resolvers.account_directory, "_ENTRIES_MAX", 2)
    directory = AccountDirectory(db)
    ids, names = [member.id for member in members], [member.username for member in members]
    for upto in range(1, 9):
        found = await directory.by_id(ids[:upto])
        assert [found[account_id] for account_id in ids[:upto]] == refs(members[:upto])
        by_name = await directory.by_username(names[:upto])
        assert [by_name[name] for name in names[:upto]] == refs(members[:upto])


async def test_those_who_ask_at_once_do_not_lose_what_they_ask_for(
    db: Database, members: list[Member], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(resolvers.account_directory, "_ENTRIES_MAX", 1)
    directory = AccountDirectory(db)
    names = [member.username for member in members]
    await directory.by_username(names[:1])
    answers = await asyncio.gather(*(directory.by_username([names[0], name]) for name in names[1:]))
    assert [len(answer) for answer in answers] == [2] * 7
