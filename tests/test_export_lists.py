"""Rates, credit transactions and customers as files: every byte, every filter, what is hidden."""

from datetime import UTC, datetime, timedelta

import pytest
from sqlalchemy import text

from tests.exported import BOM, column_of, csv_of, get, xlsx_of
from tests.graphql_client import Api, Person
from tests.rates_api import base_id, change, own_list, rate

CREDIT = "createCreditTransaction"


async def give(api: Api, person: Person, amount: str, *, by: Person, **remarks: str) -> None:
    input = {"accountId": person.id, "amount": amount, "idempotencyKey": f"{amount} {by.username}", **remarks}
    await api.done(CREDIT, "duplicate", input, by=by)


async def date_transactions(api: Api) -> None:
    """Noon of the third for the first transaction of all, a second later for each that follows."""
    async with api.db.transaction() as tx:
        await tx.execute(
            text("UPDATE credit_transactions SET created_at = timestamptz '2026-05-03 12:00Z' + id * interval '1 s'")
        )


async def test_rates_are_what_the_account_pays_in_the_order_of_prefixes(api: Api) -> None:
    luluka = await api.reseller("luluka", of=api.operator)
    await change(
        api,
        await base_id(api),
        rate(
            "43", "0.06", destination="Austria", connectionFee="0.01", firstIncrementSeconds=60, nextIncrementSeconds=30
        ),
        rate("431", "0.07", destination="+Vienna", effectiveFrom="2026-01-31T12:00:00Z"),
        rate("44", "0.00000001", blocked=True),
        by=api.operator,
    )
    ten_off = await own_list(api, "10", by=luluka)
    keytyh = await api.customer("keytyh", of=luluka, rateListId=ten_off)

    response = await get(api, "rates.csv", by=keytyh)

    assert response.content == BOM + (
        b"prefix,destination,pricePerMinute,connectionFee,firstIncrementSeconds,nextIncrementSeconds,effectiveFrom,"
        b"blocked\r\n"
        b"43,Austria,0.05400000,0.00900000,60,30,,false\r\n"
        b"431,'+Vienna,0.06300000,0.00000000,1,1,2026-01-31T12:00:00Z,false\r\n"
        b"44,,0.00000001,0.00000000,1,1,,true\r\n"
    )
    assert (await xlsx_of(api, "rates", by=keytyh))[1:] == [
        ["43", "Austria", 0.054, 0.009, 60, 30, None, False],
        ["431", "+Vienna", 0.063, 0, 1, 1, datetime(2026, 1, 31, 12, tzinfo=UTC), False],
        ["44", None, 0.00000001, 0, 1, 1, None, True],
    ]
    assert await column_of(api, "rates", "pricePerMinute", by=luluka, prefix="43") == ["0.06000000", "0.07000000"]


@pytest.mark.parametrize(
    ("parameters", "found"),
    [
        ({"prefix": "43"}, ["43", "431"]),
        ({"search": "vienna"}, ["431"]),
        ({"search": "44"}, ["44"]),
        ({"at": "2026-01-31T11:59:59Z"}, ["43", "44"]),
        ({"prefix": "43", "search": "aus"}, ["43"]),
    ],
)
async def test_rates_are_chosen_as_in_the_list(api: Api, parameters: dict[str, str], found: list[str]) -> None:
    rates = [
        rate("43", destination="Austria"),
        rate("431", destination="Vienna", effectiveFrom="2026-01-31T12:00:00Z"),
        rate("44", destination="Britain"),
    ]
    await change(api, await base_id(api), *rates, by=api.operator)

    assert await column_of(api, "rates", "prefix", by=api.operator, **parameters) == found


async def test_rates_of_several_pages_come_once_each(api: Api) -> None:
    prefixes = sorted(str(number) for number in range(1000, 2203))
    for start in range(0, len(prefixes), 500):
        await change(api, await base_id(api), *map(rate, prefixes[start : start + 500]), by=api.operator)

    assert await column_of(api, "rates", "prefix", by=api.operator) == prefixes


async def test_transactions_are_the_accounts_own_newest_first_and_a_deduction_stays_a_number(api: Api) -> None:
    luluka = await api.reseller("luluka", of=api.operator, credit="10")
    keytyh = await api.customer("keytyh", of=luluka, credit="5")
    await give(api, keytyh, "-1.50000", by=luluka, remark="-1+1", privateRemark='says "late"\nagain')
    await date_transactions(api)

    response = await get(api, "transactions.csv", by=luluka, username="keytyh*luluka")

    assert response.content == BOM + (
        b"createdAt,amount,balanceAfter,kind,remark,privateRemark,createdBy\r\n"
        b'2026-05-03T12:00:03Z,-1.50000,3.50000,CREDIT,\'-1+1,"says ""late""\nagain",luluka*operator\r\n'
        b"2026-05-03T12:00:02Z,5.00000,5.00000,OPENING,,,luluka*operator\r\n"
    )
    assert (await xlsx_of(api, "transactions", by=luluka, username="keytyh*luluka"))[1:] == [
        [
            datetime(2026, 5, 3, 12, 0, 3, tzinfo=UTC),
            -1.5,
            3.5,
            "CREDIT",
            "-1+1",
            'says "late"\nagain',
            "luluka*operator",
        ],
        [datetime(2026, 5, 3, 12, 0, 2, tzinfo=UTC), 5, 5, "OPENING", None, None, "luluka*operator"],
    ]


async def test_a_private_remark_and_an_author_above_are_in_no_file_of_the_customer(api: Api) -> None:
    luluka = await api.reseller("luluka", of=api.operator, credit="10")
    keytyh = await api.customer("keytyh", of=luluka)
    await give(api, keytyh, "1", by=luluka, remark="for both", privateRemark="of luluka")
    await give(api, keytyh, "2", by=api.operator, remark="for all", privateRemark="of the operator")

    async def seen_by(person: Person) -> list[list[str]]:
        rows = await csv_of(api, "transactions", by=person, username="keytyh*luluka")
        sheet = await xlsx_of(api, "transactions", by=person, username="keytyh*luluka")
        assert [[cell or "" for cell in row[4:]] for row in sheet] == [row[4:] for row in rows]
        return [row[4:] for row in rows[1:]]

    assert await seen_by(keytyh) == [["for all", "", ""], ["for both", "", ""]]
    assert await seen_by(luluka) == [["for all", "", ""], ["for both", "of luluka", "luluka*operator"]]
    assert await seen_by(api.operator) == [
        ["for all", "of the operator", "operator"],
        ["for both", "of luluka", "luluka*operator"],
    ]


async def test_transactions_are_chosen_by_time(api: Api) -> None:
    keytyh = await api.customer("keytyh", of=api.operator)
    for amount in ("1", "2", "3"):
        await give(api, keytyh, amount, by=api.operator)
    await date_transactions(api)

    chosen = {"since": "2026-05-03T12:00:02Z", "until": "2026-05-03T12:00:03Z"}
    assert await column_of(api, "transactions", "amount", by=keytyh, **chosen) == ["2.00000"]
    assert await column_of(api, "transactions", "amount", by=keytyh, since=chosen["since"]) == ["3.00000", "2.00000"]


async def call(api: Api, username: str, at: datetime, duration_s: int) -> None:
    call = {"username": username, "number": "431234", "durationSeconds": duration_s, "startedAt": at.isoformat()}
    input = {"call": {**call, "callId": f"{username} {at}"}, "policy": "ALWAYS_CHARGE"}
    await api.done("chargeCall", "duplicate", input, by=api.operator)


async def test_customers_have_the_columns_of_the_back_office_with_the_usage_of_four_weeks(api: Api) -> None:
    await change(api, await base_id(api), rate("43", "0.06"), by=api.operator)
    luluka = await api.reseller("luluka", of=api.operator, credit="10")
    dear = await own_list(api, "-100", by=luluka)
    keytyh = await api.reseller("keytyh", of=luluka, credit="5", rateListId=dear)
    await api.customer("below", of=keytyh)
    await api.customer("anna", of=luluka, blocked=True)
    today = datetime.now(UTC).replace(hour=0, minute=0, second=0, microsecond=0)
    await call(api, "keytyh*luluka", today, 60)
    await call(api, "below*keytyh", today - timedelta(days=27), 60)
    await call(api, "keytyh*luluka", today - timedelta(days=28), 60)

    response = await get(api, "customers.csv", by=luluka)

    assert response.content == BOM + (
        b"username,balance,blocked,isReseller,rateList,calls,durationSeconds,charged\r\n"
        b"anna*luluka,0.00000,true,false,(Predefined) 0% List,0,0,0.00000\r\n"
        b"keytyh*luluka,4.64000,false,true,List -100,2,120,0.24000\r\n"
    )
    assert (await xlsx_of(api, "customers", by=luluka))[1:] == [
        ["anna*luluka", 0, True, False, "(Predefined) 0% List", 0, 0, 0],
        ["keytyh*luluka", 4.64, False, True, "List -100", 2, 120, 0.24],
    ]
    day = (today - timedelta(days=28)).date().isoformat()
    assert await column_of(api, "customers", "calls", by=luluka, since=day) == ["0", "3"]
    assert await column_of(api, "customers", "calls", by=luluka, until=day) == ["0", "1"]


async def customers_of(api: Api, reseller: Person, **parameters: str) -> list[str]:
    return [name.partition("*")[0] for name in await column_of(api, "customers", "username", by=reseller, **parameters)]


@pytest.mark.parametrize(
    ("parameters", "found"),
    [
        ({}, ["anna", "Bert", "carl"]),
        ({"orderBy": "CREATED_AT"}, ["Bert", "anna", "carl"]),
        ({"orderBy": "PATH", "descending": "true"}, ["carl", "anna", "Bert"]),
        ({"descending": "true"}, ["carl", "Bert", "anna"]),
        ({"descending": "false"}, ["anna", "Bert", "carl"]),
        ({"search": "AR"}, ["carl"]),
        ({"isReseller": "true"}, ["Bert"]),
        ({"isReseller": "false"}, ["anna", "carl"]),
        ({"blocked": "true"}, ["carl"]),
        ({"blocked": "false", "isReseller": "false"}, ["anna"]),
    ],
)
async def test_customers_are_chosen_and_ordered_as_in_the_list(
    api: Api, parameters: dict[str, str], found: list[str]
) -> None:
    good = await api.reseller("good", of=api.operator)
    await api.reseller("Bert", of=good)
    await api.customer("anna", of=good)
    await api.customer("carl", of=good, blocked=True)

    assert await customers_of(api, good, **parameters) == found


async def test_customers_of_several_pages_are_read_by_a_few_statements_a_page(api: Api) -> None:
    good = await api.reseller("good", of=api.operator)
    async with api.db.transaction() as tx:
        await tx.execute(text("CREATE TEMP TABLE made (id bigint, n int)"))
        await tx.execute(
            text(
                "INSERT INTO made SELECT nextval(pg_get_serial_sequence('accounts', 'id')), n "
                "FROM generate_series(1, 1203) AS n"
            )
        )
        await tx.execute(
            text(
                "INSERT INTO accounts (id, username, parent_id, path, password_hash) OVERRIDING SYSTEM VALUE "
                "SELECT made.id, 'c' || lpad(n::text, 4, '0') || '*good', a.id, a.path || made.id, '' "
                "FROM made, accounts AS a WHERE a.id = :good"
            ),
            {"good": good.account_id},
        )
        await tx.execute(
            text(
                "INSERT INTO account_state (account_id, rate_list_id) "
                "SELECT made.id, s.rate_list_id FROM made, account_state AS s WHERE s.account_id = :good"
            ),
            {"good": good.account_id},
        )

    assert await customers_of(api, good) == [f"c{number:04}" for number in range(1, 1204)]
