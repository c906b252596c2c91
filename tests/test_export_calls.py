"""The calls of an account as files: every byte, every filter, what each level of the tree reads in them."""

import asyncio
import io
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest
from sqlalchemy import Engine, event

from billing.call_records import CallRecord, read_call_records
from resolvers import exports
from tests.command_line import tollpath_here
from tests.exported import BOM, column_of, csv_of, get, xlsx_of
from tests.graphql_client import Api, Person
from tests.rates_api import base_id, change, own_list, rate

NOON = "2026-05-04T12:00:00Z"
TREE = {"operator": "operator", "luluka": "luluka*operator", "keytyh": "keytyh*luluka", "late": "late*luluka"}


@pytest.fixture
async def tree(api: Api) -> dict[str, Person]:
    """operator ▶ luluka ▶ keytyh and late. Vienna costs the upper two 0.05 a minute, the lower two 0.07."""
    await change(api, await base_id(api), rate("431", "0.05", destination="Vienna, =1"), by=api.operator)
    luluka = await api.reseller("luluka", of=api.operator, credit="100")
    selected = await own_list(api, "0", rate("431", "0.07", firstIncrementSeconds=60), by=luluka)
    keytyh = await api.customer("keytyh", of=luluka, credit="100", rateListId=selected)
    late = await api.customer("late", of=luluka, credit="100", rateListId=selected)
    return {"operator": api.operator, "luluka": luluka, "keytyh": keytyh, "late": late}


async def charge(api: Api, *calls: dict[str, Any]) -> None:
    input = {"calls": list(calls), "policy": "ALWAYS_CHARGE"}
    await api.done("chargeCalls", "charged", input, by=api.operator)


def call(call_id: str, name: str, at: str = NOON, **fields: Any) -> dict[str, Any]:
    common = {"callId": call_id, "username": TREE[name], "number": "+431234", "startedAt": at, "durationSeconds": 30}
    return {**common, **fields}


async def test_a_reseller_reads_every_call_below_it_with_what_its_customer_and_what_it_pays_itself(
    api: Api, tree: dict[str, Person]
) -> None:
    await charge(
        api,
        call("001", "keytyh", "2026-05-04T12:00:00Z", callerNumber="+43 5"),
        call("-2", "late", "2026-05-04T12:00:01.5Z", durationSeconds=90),
        call("c,3", "luluka", "2026-05-04T12:00:02Z"),
        call("4", "keytyh", "2026-05-04T12:00:03Z", number="+991"),
    )

    response = await get(api, "calls.csv", by=tree["luluka"], direction="ASC")

    assert response.content == BOM + (
        b"startedAt,username,number,destination,durationSeconds,billedSeconds,charged,status,callerNumber,callId,"
        b"ownCharge\r\n"
        b'2026-05-04T12:00:00Z,keytyh*luluka,431234,"Vienna, =1",30,60,0.07000,CHARGED,+43 5,001,0.02500\r\n'
        b'2026-05-04T12:00:01.500000Z,late*luluka,431234,"Vienna, =1",90,90,0.10500,CHARGED,,\'-2,0.07500\r\n'
        b'2026-05-04T12:00:02Z,luluka*operator,431234,"Vienna, =1",30,30,0.02500,CHARGED,,"c,3",0.02500\r\n'
        b"2026-05-04T12:00:03Z,keytyh*luluka,991,,30,0,0.00000,UNRATED,,4,0.00000\r\n"
    )
    assert response.headers["content-type"] == "text/csv; charset=utf-8; header=present"
    day = datetime.now(UTC).date()
    disposition = response.headers["content-disposition"]
    assert disposition == f'attachment; filename="calls-luluka-operator-{day}.csv"'
    assert await xlsx_of(api, "calls", by=tree["luluka"], direction="ASC") == [
        [
            *("startedAt", "username", "number", "destination", "durationSeconds", "billedSeconds", "charged"),
            *("status", "callerNumber", "callId", "ownCharge"),
        ],
        [
            *(datetime(2026, 5, 4, 12, tzinfo=UTC), "keytyh*luluka", "431234", "Vienna, =1", 30, 60, 0.07, "CHARGED"),
            *("+43 5", "001", 0.025),
        ],
        [
            *(
                datetime(2026, 5, 4, 12, 0, 1, 500_000, tzinfo=UTC),
                "late*luluka",
                "431234",
                "Vienna, =1",
                90,
                90,
                0.105,
            ),
            *("CHARGED", None, "-2", 0.075),
        ],
        [
            *(
                datetime(2026, 5, 4, 12, 0, 2, tzinfo=UTC),
                "luluka*operator",
                "431234",
                "Vienna, =1",
                30,
                30,
                0.025,
                "CHARGED",
            ),
            *(None, "c,3", 0.025),
        ],
        [
            *(datetime(2026, 5, 4, 12, 0, 3, tzinfo=UTC), "keytyh*luluka", "991", None, 30, 0, 0, "UNRATED"),
            *(None, "4", 0),
        ],
    ]


async def test_a_customer_reads_its_own_calls_and_no_charge_of_another_level(api: Api, tree: dict[str, Person]) -> None:
    await charge(api, call("1", "keytyh"), call("2", "late"))

    assert await csv_of(api, "calls", by=tree["keytyh"]) == [
        [
            *("startedAt", "username", "number", "destination", "durationSeconds", "billedSeconds", "charged"),
            *("status", "callerNumber", "callId"),
        ],
        [NOON, "keytyh*luluka", "431234", "Vienna, =1", "30", "60", "0.07000", "CHARGED", "", "1"],
    ]
    # Whoever asks: it is a customer's export.
    header, *_ = await csv_of(api, "calls", by=api.operator, username="keytyh*luluka")
    assert "ownCharge" not in header


async def test_own_charge_is_that_of_the_account_that_is_exported_whoever_asks(
    api: Api, tree: dict[str, Person]
) -> None:
    await change(api, await base_id(api), rate("43", "0.01"), by=api.operator)
    dear = await own_list(api, "-100", by=api.operator)
    await api.done(
        "updateAccount", "account { id }", {"accountId": tree["luluka"].id, "rateListId": dear}, by=api.operator
    )
    await charge(api, call("1", "keytyh"))

    for by in ("luluka", "operator"):
        assert await column_of(api, "calls", "ownCharge", by=tree[by], username="luluka*operator") == ["0.05000"]
    assert await column_of(api, "calls", "ownCharge", by=api.operator) == ["0.02500"]


@pytest.mark.parametrize(
    ("parameters", "found"),
    [
        ({}, ["d", "c", "b", "a"]),
        ({"direction": "DESC"}, ["d", "c", "b", "a"]),
        ({"direction": "ASC"}, ["a", "b", "c", "d"]),
        ({"since": "2026-05-04T13:00:00Z"}, ["d", "c", "b"]),
        ({"until": "2026-05-04T13:00:00Z"}, ["a"]),
        ({"since": "2026-05-04T15:00:00+02:00", "until": "2026-05-04T15:00:00Z"}, ["c", "b"]),
        ({"number": "+43 1 5"}, ["b"]),
        ({"number": "431", "direction": "ASC"}, ["a", "b"]),
        ({"username": "LATE*luluka"}, ["d"]),
        ({"number": "7"}, []),
        ({"destination": "vienn"}, ["b", "a"]),
        ({"status": "UNRATED"}, ["d", "c"]),
        ({"status": "CHARGED", "direction": "ASC"}, ["a", "b"]),
    ],
)
async def test_calls_are_chosen_as_in_the_list(
    api: Api, tree: dict[str, Person], parameters: dict[str, str], found: list[str]
) -> None:
    await charge(
        api,
        call("a", "keytyh", "2026-05-04T12:00:00Z"),
        call("b", "keytyh", "2026-05-04T13:00:00Z", number="+431567"),
        call("c", "keytyh", "2026-05-04T14:00:00Z", number="+441"),
        call("d", "late", "2026-05-04T15:00:00Z", number="+441"),
    )

    assert await column_of(api, "calls", "callId", by=tree["luluka"], **parameters) == found


async def test_what_is_exported_and_imported_again_is_charged_to_nobody_again(
    api: Api, tree: dict[str, Person], database_url: str, tmp_path: Path
) -> None:
    ids = ["=A1", "'=A1", "''@b", "-7f3a@10.0.0.1", "+43-1", "+43 1", "'s"]
    await charge(api, *(call(call_id, "keytyh", callerNumber=call_id) for call_id in ids))
    before = await api.rows()
    file = tmp_path / "calls.csv"
    file.write_bytes((await get(api, "calls.csv", by=api.operator)).content)

    done = await asyncio.to_thread(tollpath_here, "import-calls", file, DATABASE_URL=database_url)

    assert (
        "0 calls charged (0 overdrawn), 0 kept without a rate, 7 there before, 0 not answered, 0 rejected" in done.out
    )
    assert await api.rows() == before


async def test_calls_of_several_pages_come_once_each_in_order(api: Api, tree: dict[str, Person]) -> None:
    # Five at each instant, so that pages end between calls of the same time.
    times = [f"2026-05-04T12:{number // 60:02}:{number % 60:02}Z" for number in range(221) for _ in range(5)]
    ids = [f"call {number:04}" for number in range(len(times))]
    calls = [call(call_id, "keytyh", at) for call_id, at in zip(ids, times, strict=True)]
    for start in range(0, len(calls), 500):
        await charge(api, *calls[start : start + 500])

    assert len(ids) > 2 * 500
    assert await column_of(api, "calls", "callId", by=tree["luluka"], direction="ASC") == ids
    assert await column_of(api, "calls", "callId", by=tree["luluka"]) == ids[::-1]
    assert [row[9] for row in (await xlsx_of(api, "calls", by=tree["luluka"]))[1:]] == ids[::-1]


async def test_a_refunded_call_costs_nothing_in_the_file(api: Api, tree: dict[str, Person]) -> None:
    await charge(api, call("1", "keytyh"))
    await api.done("refundCall", "duplicate", {"callId": "1", "reason": "x"}, by=api.operator)

    header, row = await csv_of(api, "calls", by=tree["luluka"])
    found = dict(zip(header, row, strict=True))
    assert (found["status"], found["charged"], found["ownCharge"]) == ("REFUNDED", "0.00000", "0.00000")


async def test_an_exported_file_of_calls_is_one_that_can_be_imported(api: Api, tree: dict[str, Person]) -> None:
    await charge(api, call("switch 7 - 1", "keytyh", callerNumber="+43 5"))

    file = (await get(api, "calls.csv", by=tree["luluka"])).content.decode("utf-8-sig")

    (record,) = read_call_records(io.StringIO(file, newline=""), timezone=UTC)
    assert isinstance(record, CallRecord)
    assert (record.call_id, record.username, record.number, record.caller_number, record.started_at) == (
        *("switch 7 - 1", "keytyh*luluka", "431234", "+43 5", datetime(2026, 5, 4, 12, tzinfo=UTC)),
    )
    assert record.duration_s == 30


async def test_each_page_is_planned_for_the_range_that_it_reads(
    api: Api, tree: dict[str, Person], monkeypatch: pytest.MonkeyPatch
) -> None:
    # A plan for any range sorted all of a day's calls for each page, where they were imported since the last ANALYZE.
    monkeypatch.setattr(exports, "PAGE_ROWS", 2)
    await charge(api, *(call(f"c{n}", "keytyh", f"2026-05-04T12:00:0{n}Z") for n in range(5)))
    sent: list[str] = []

    def note(_connection: object, _cursor: object, statement: str, *_: object) -> None:
        sent.append(statement)

    event.listen(Engine, "before_cursor_execute", note)
    try:
        assert len(await csv_of(api, "calls", by=tree["luluka"])) == 6
    finally:
        event.remove(Engine, "before_cursor_execute", note)
    pages = [number for number, statement in enumerate(sent) if "FROM charges" in statement]
    assert len(pages) == 3
    assert {sent[number - 1] for number in pages} == {"SET LOCAL plan_cache_mode = force_custom_plan"}
