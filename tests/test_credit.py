"""Credit: a promise of the reseller, booked once, and never taken from anybody else."""

import asyncio
import base64
from itertools import pairwise
from typing import Any

import pytest

from billing.money import parse_money
from tests.graphql_client import Api, Person

TRANSACTION = """
transaction { id amount balanceAfter kind remark privateRemark createdAt account { username } createdBy { username } }
account { balance available held creditLimit version }
duplicate
"""
BALANCES = "{ viewer { balance available version } }"


async def give(api: Api, account: Person, amount: str, *, by: Person, key: str, **remarks: Any) -> Any:
    asked = {"accountId": account.id, "amount": amount, "idempotencyKey": key, **remarks}
    return await api.done("createCreditTransaction", TRANSACTION, asked, by=by)


async def test_giving_credit_is_a_promise_that_leaves_the_reseller_as_it_was(api: Api) -> None:
    good = await api.reseller("good", of=api.operator, credit="10")
    keytyh = await api.customer("keytyh", of=good)
    before = await api(BALANCES, by=good)
    assert before["viewer"]["balance"] == "10.00000"

    payload = await give(api, keytyh, "10", by=good, key="1", remark="for May", privateRemark="cash")

    assert payload["account"] == {
        "balance": "10.00000",
        "available": "10.00000",
        "held": "0.00000",
        "creditLimit": "0.00000",
        "version": 1,
    }
    created_at = payload["transaction"].pop("createdAt")
    assert created_at.endswith("Z")
    number = base64.b64decode(payload["transaction"].pop("id")).decode()
    assert number.startswith("CreditTransaction:")
    assert payload["transaction"] == {
        "amount": "10.00000",
        "balanceAfter": "10.00000",
        "kind": "CREDIT",
        "remark": "for May",
        "privateRemark": "cash",
        "account": {"username": "keytyh*good"},
        "createdBy": {"username": "good*operator"},
    }
    assert payload["duplicate"] is False
    assert await api(BALANCES, by=good) == before


async def test_a_reseller_can_promise_more_than_it_has(api: Api) -> None:
    good = await api.reseller("good", of=api.operator, credit="1")

    for name in ("one", "two", "three"):
        customer = await api.customer(name, of=good, credit="1000000")
        assert (await api(BALANCES, by=customer))["viewer"]["balance"] == "1000000.00000"
    assert (await api(BALANCES, by=good))["viewer"]["balance"] == "1.00000"


async def test_a_negative_amount_deducts_and_the_last_unit_can_be_taken(api: Api) -> None:
    keytyh = await api.customer("keytyh", of=api.operator, credit="9.25")

    payload = await give(api, keytyh, "-9.24999", by=api.operator, key="1")
    assert (payload["transaction"]["amount"], payload["account"]["balance"]) == ("-9.24999", "0.00001")
    payload = await give(api, keytyh, "-0.00001", by=api.operator, key="2")
    assert payload["account"]["balance"] == "0.00000"


async def test_deducting_more_than_is_available_is_refused_and_changes_nothing(api: Api) -> None:
    keytyh = await api.customer("keytyh", of=api.operator, credit="10", creditLimit="5")
    before = await api.rows()

    asked = {"accountId": keytyh.id, "amount": "-15.00001", "idempotencyKey": "1"}
    error = await api.refused("createCreditTransaction", asked, by=api.operator)

    assert error == {
        "code": "INSUFFICIENT_CREDIT",
        "message": "Only 15.00000 can be deducted.",
        "path": ["amount"],
        "account": {"username": "keytyh*operator"},
    }
    assert await api.rows() == before
    payload = await give(api, keytyh, "-15", by=api.operator, key="1")
    assert (payload["account"]["balance"], payload["account"]["available"]) == ("-5.00000", "0.00000")


async def test_what_is_held_cannot_be_deducted(api: Api) -> None:
    keytyh = await api.customer("keytyh", of=api.operator, credit="10")
    async with api.db.transaction() as tx:
        await tx.exec_driver_sql(
            "UPDATE account_state SET held_units = 300000 WHERE account_id = $1", (keytyh.account_id,)
        )

    asked = {"accountId": keytyh.id, "amount": "-7.00001", "idempotencyKey": "1"}
    assert (await api.refused("createCreditTransaction", asked, by=api.operator))["code"] == "INSUFFICIENT_CREDIT"
    payload = await give(api, keytyh, "-7", by=api.operator, key="2")
    assert (payload["account"]["balance"], payload["account"]["available"]) == ("3.00000", "0.00000")


async def test_credit_is_welcome_where_the_balance_is_below_zero(api: Api) -> None:
    keytyh = await api.customer("keytyh", of=api.operator, creditLimit="5")
    await give(api, keytyh, "-5", by=api.operator, key="1")
    await api.done(
        "setCreditLimit", "account { available }", {"accountId": keytyh.id, "creditLimit": "0"}, by=api.operator
    )

    payload = await give(api, keytyh, "1", by=api.operator, key="2")
    assert (payload["account"]["balance"], payload["account"]["available"]) == ("-4.00000", "-4.00000")


@pytest.mark.parametrize("amount", ["0", "0.00000", "-0"])
async def test_an_amount_of_zero_is_refused(api: Api, amount: str) -> None:
    keytyh = await api.customer("keytyh", of=api.operator)
    before = await api.rows()

    asked = {"accountId": keytyh.id, "amount": amount, "idempotencyKey": "1"}
    error = await api.refused("createCreditTransaction", asked, by=api.operator)

    assert (error["code"], error["path"]) == ("INVALID_AMOUNT", ["amount"])
    assert await api.rows() == before


@pytest.mark.parametrize(
    "amount", ["1.000001", "1e3", "1,234.56", "NaN", "Infinity", " 1", "", "1000000000000", 1, 1.5, True]
)
async def test_an_amount_that_is_no_decimal_text_never_becomes_money(api: Api, amount: Any) -> None:
    keytyh = await api.customer("keytyh", of=api.operator)
    before = await api.rows()

    query = "mutation ($input: CreateCreditTransactionInput!) { createCreditTransaction(input: $input) { duplicate } }"
    asked = {"accountId": keytyh.id, "amount": amount, "idempotencyKey": "1"}

    assert await api.failure(query, {"input": asked}, by=api.operator) == "BAD_USER_INPUT"
    assert await api.rows() == before


@pytest.mark.parametrize("literal", ["5", "5.0", "true", "[]", "{}", "FIVE", '"5.0e1"'])
async def test_a_number_without_quotes_in_the_query_never_becomes_money(api: Api, literal: str) -> None:
    query = f"""mutation {{ createCreditTransaction(
        input: {{ accountId: "x", idempotencyKey: "1", amount: {literal} }}) {{ duplicate }} }}"""

    assert await api.failure(query, by=api.operator) == "GRAPHQL_VALIDATION_FAILED"


async def test_a_balance_beyond_what_can_be_kept_is_refused(api: Api) -> None:
    keytyh = await api.customer("keytyh", of=api.operator)
    async with api.db.transaction() as tx:
        await tx.exec_driver_sql(
            "UPDATE account_state SET balance_units = 9000000000000000000 - 5 WHERE account_id = $1",
            (keytyh.account_id,),
        )
    before = await api.rows()

    asked = {"accountId": keytyh.id, "amount": "0.00006", "idempotencyKey": "1"}
    error = await api.refused("createCreditTransaction", asked, by=api.operator)

    assert error["code"] == "INVALID_AMOUNT"
    assert await api.rows() == before
    await give(api, keytyh, "0.00005", by=api.operator, key="1")


async def test_the_same_key_again_books_nothing_and_answers_the_first_transaction(api: Api) -> None:
    keytyh = await api.customer("keytyh", of=api.operator)
    first = await give(api, keytyh, "10", by=api.operator, key="again", remark="once")
    await give(api, keytyh, "1", by=api.operator, key="other")
    before = await api.rows()

    second = await give(api, keytyh, "10", by=api.operator, key="again", remark="once")

    assert second["transaction"] == first["transaction"]
    assert second["duplicate"] is True
    assert second["account"]["balance"] == "11.00000"
    assert await api.rows() == before


async def test_the_same_key_answers_even_when_it_could_not_be_booked_any_more(api: Api) -> None:
    keytyh = await api.customer("keytyh", of=api.operator, credit="10")
    first = await give(api, keytyh, "-10", by=api.operator, key="1")

    second = await give(api, keytyh, "-10", by=api.operator, key="1")

    assert (second["transaction"], second["duplicate"]) == (first["transaction"], True)


async def test_other_content_under_the_same_key_is_a_conflict(api: Api) -> None:
    keytyh = await api.customer("keytyh", of=api.operator)
    other = await api.customer("other", of=api.operator)
    asked = {"accountId": keytyh.id, "amount": "10", "remark": "a", "privateRemark": "b", "idempotencyKey": "1"}
    await api.done("createCreditTransaction", TRANSACTION, asked, by=api.operator)
    before = await api.rows()

    for changed in ({"amount": "10.00001"}, {"accountId": other.id}, {"remark": "b"}, {"privateRemark": None}):
        error = await api.refused("createCreditTransaction", {**asked, **changed}, by=api.operator)
        assert (error["code"], error["path"]) == ("IDEMPOTENCY_CONFLICT", ["idempotencyKey"])
    assert await api.rows() == before


async def test_a_refused_request_does_not_use_up_its_key(api: Api) -> None:
    keytyh = await api.customer("keytyh", of=api.operator)
    asked = {"accountId": keytyh.id, "amount": "-1", "idempotencyKey": "1"}
    await api.refused("createCreditTransaction", asked, by=api.operator)

    assert (await give(api, keytyh, "1", by=api.operator, key="1"))["duplicate"] is False


async def test_keys_of_different_authors_do_not_meet(api: Api) -> None:
    good = await api.reseller("good", of=api.operator)
    keytyh = await api.customer("keytyh", of=good)

    assert (await give(api, good, "1", by=api.operator, key="same"))["duplicate"] is False
    assert (await give(api, keytyh, "2", by=good, key="same"))["duplicate"] is False


async def test_of_identical_requests_at_once_one_is_booked_and_all_answer_it(api: Api) -> None:
    keytyh = await api.customer("keytyh", of=api.operator)

    answers = await asyncio.gather(*(give(api, keytyh, "7", by=api.operator, key="raced") for _ in range(12)))

    assert len({answer["transaction"]["id"] for answer in answers}) == 1
    assert sorted(answer["duplicate"] for answer in answers) == [False] + [True] * 11
    assert (await api(BALANCES, by=keytyh))["viewer"] == {"balance": "7.00000", "available": "7.00000", "version": 1}


async def test_of_different_requests_at_once_under_one_key_one_is_booked(api: Api) -> None:
    customers = [await api.customer(name, of=api.operator) for name in ("one", "two", "three", "four")]

    answers = await asyncio.gather(
        *(
            api.change(
                "createCreditTransaction",
                "duplicate",
                {"accountId": customer.id, "amount": "7", "idempotencyKey": "raced"},
                by=api.operator,
            )
            for customer in customers
        )
    )

    assert sorted(len(answer["errors"]) for answer in answers) == [0, 1, 1, 1]
    codes = [error["code"] for answer in answers for error in answer["errors"]]
    assert codes == ["IDEMPOTENCY_CONFLICT"] * 3
    balances = [(await api(BALANCES, by=customer))["viewer"]["balance"] for customer in customers]
    assert sorted(balances) == ["0.00000"] * 3 + ["7.00000"]


async def test_deductions_at_once_never_take_more_than_there_is(api: Api) -> None:
    keytyh = await api.customer("keytyh", of=api.operator, credit="10")

    answers = await asyncio.gather(
        *(
            api.change(
                "createCreditTransaction",
                "account { balance }",
                {"accountId": keytyh.id, "amount": "-3", "idempotencyKey": str(number)},
                by=api.operator,
            )
            for number in range(12)
        )
    )

    assert sum(not answer["errors"] for answer in answers) == 3
    assert (await api(BALANCES, by=keytyh))["viewer"] == {"balance": "1.00000", "available": "1.00000", "version": 4}


async def test_the_list_runs_from_the_newest_down_and_each_balance_follows_from_the_one_before(api: Api) -> None:
    keytyh = await api.customer("keytyh", of=api.operator, credit="1.5")
    await asyncio.gather(*(give(api, keytyh, f"{n}.1", by=api.operator, key=str(n)) for n in range(1, 9)))

    query = "{ viewer { transactions(first: 100) { nodes { amount balanceAfter kind createdAt } } } }"
    nodes = (await api(query, by=keytyh))["viewer"]["transactions"]["nodes"]

    assert (nodes[-1]["amount"], nodes[-1]["balanceAfter"], nodes[-1]["kind"]) == ("1.50000", "1.50000", "OPENING")
    assert [node["createdAt"] for node in nodes] == sorted((node["createdAt"] for node in nodes), reverse=True)
    for newer, older in pairwise(nodes):
        after = parse_money(older["balanceAfter"]) + parse_money(newer["amount"])
        assert parse_money(newer["balanceAfter"]) == after
    assert nodes[0]["balanceAfter"] == "38.30000"


async def test_the_list_is_paged_and_narrowed_by_time(api: Api) -> None:
    keytyh = await api.customer("keytyh", of=api.operator)
    for number in range(1, 6):
        await give(api, keytyh, str(number), by=api.operator, key=str(number))
    query = """query ($first: Int, $after: String, $last: Int, $before: String, $since: DateTime, $until: DateTime) {
      viewer { transactions(first: $first, after: $after, last: $last, before: $before, since: $since, until: $until) {
        nodes { amount createdAt } pageInfo { hasNextPage hasPreviousPage startCursor endCursor } } } }"""

    async def page(**arguments: Any) -> tuple[list[str], dict[str, Any]]:
        found = (await api(query, arguments, by=keytyh))["viewer"]["transactions"]
        return [node["amount"][0] for node in found["nodes"]], found["pageInfo"]

    amounts, info = await page(first=2)
    assert (amounts, info["hasNextPage"], info["hasPreviousPage"]) == (["5", "4"], True, False)
    amounts, info = await page(first=2, after=info["endCursor"])
    assert (amounts, info["hasNextPage"], info["hasPreviousPage"]) == (["3", "2"], True, True)
    amounts, info = await page(first=2, after=info["endCursor"])
    assert (amounts, info["hasNextPage"], info["hasPreviousPage"]) == (["1"], False, True)
    amounts, info = await page(last=2, before=info["startCursor"])
    assert (amounts, info["hasNextPage"], info["hasPreviousPage"]) == (["3", "2"], True, True)
    amounts, info = await page(last=2)
    assert (amounts, info["hasNextPage"], info["hasPreviousPage"]) == (["2", "1"], False, True)

    times = [node["createdAt"] for node in (await api(query, by=keytyh))["viewer"]["transactions"]["nodes"]]
    assert (await page(since=times[3], until=times[1]))[0] == ["3", "2"]


async def test_a_private_remark_is_for_its_authors_side_only(api: Api) -> None:
    top = await api.reseller("top", of=api.operator)
    good = await api.reseller("good", of=top)
    keytyh = await api.customer("keytyh", of=good)
    await give(api, keytyh, "1", by=good, key="1", remark="both", privateRemark="of good")
    await give(api, keytyh, "2", by=api.operator, key="2", remark="both", privateRemark="of the operator")
    query = """query ($id: ID!) { account(id: $id) {
      transactions { nodes { id remark privateRemark createdBy { username } } } } }"""

    async def remarks(viewer: Person) -> list[tuple[str, Any, Any]]:
        nodes = (await api(query, {"id": keytyh.id}, by=viewer))["account"]["transactions"]["nodes"]
        return [
            (node["remark"], node["privateRemark"], node["createdBy"] and node["createdBy"]["username"])
            for node in nodes
        ]

    both = [("both", "of the operator", "operator"), ("both", "of good", "good*top")]
    assert await remarks(api.operator) == both
    assert await remarks(top) == [("both", None, None), ("both", "of good", "good*top")]
    assert await remarks(good) == [("both", None, None), ("both", "of good", "good*top")]
    assert await remarks(keytyh) == [("both", None, None), ("both", None, None)]


async def test_a_transaction_is_found_by_its_id_by_those_who_see_its_account(api: Api) -> None:
    good, sibling = await api.reseller("good", of=api.operator), await api.reseller("sibling", of=api.operator)
    keytyh = await api.customer("keytyh", of=good)
    transaction = (await give(api, keytyh, "1", by=good, key="1"))["transaction"]
    query = "query ($id: ID!) { node(id: $id) { __typename id ... on CreditTransaction { amount } } }"
    found = {"node": {"__typename": "CreditTransaction", "id": transaction["id"], "amount": "1.00000"}}

    for viewer in (api.operator, good, keytyh):
        assert await api(query, {"id": transaction["id"]}, by=viewer) == found
    assert await api(query, {"id": transaction["id"]}, by=sibling) == {"node": None}


@pytest.mark.parametrize(
    ("field", "text", "path"),
    [
        ("remark", "x" * 1001, ["remark"]),
        ("privateRemark", "x" * 1001, ["privateRemark"]),
        ("remark", "zero\0", ["remark"]),
        ("idempotencyKey", "", ["idempotencyKey"]),
        ("idempotencyKey", "x" * 256, ["idempotencyKey"]),
    ],
)
async def test_a_text_that_cannot_be_kept_is_refused(api: Api, field: str, text: str, path: list[str]) -> None:
    keytyh = await api.customer("keytyh", of=api.operator)
    before = await api.rows()

    asked = {"accountId": keytyh.id, "amount": "1", "idempotencyKey": "1", field: text}
    error = await api.refused("createCreditTransaction", asked, by=api.operator)

    assert (error["code"], error["path"]) == ("INVALID_INPUT", path)
    assert await api.rows() == before
