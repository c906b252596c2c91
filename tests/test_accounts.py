"""Creating, changing and blocking accounts; the two kinds of account; the screens of the back office."""

from typing import Any

import pytest

from schema.node import global_id
from tests.graphql_client import PASSWORD, Api, Person

DETAILS = """
account {
  username isReseller blocked balance creditLimit available emailAddress telephoneNumbers otherDetails
  address { line1 line2 postalCode city country }
}
"""
BLOCK = "account { blocked blockedBy { username } }"


async def test_a_customer_is_created_with_everything_the_form_asks(api: Api) -> None:
    good = await api.reseller("good", of=api.operator)
    asked = {
        "username": "keytyh",
        "password": PASSWORD,
        "credit": "9.25",
        "creditLimit": "3",
        "blocked": True,
        "isReseller": True,
        "emailAddress": "keytyh@example.org",
        "address": {"line1": "Ring 1", "postalCode": "1010", "city": "Wien", "country": "AT"},
        "telephoneNumbers": ["+43 1 234", "+43 664 123"],
        "otherDetails": "pays in May",
    }

    payload = await api.done("createCustomer", DETAILS, asked, by=good)

    assert payload["account"] == {
        "username": "keytyh*good",
        "isReseller": True,
        "blocked": True,
        "balance": "9.25000",
        "creditLimit": "3.00000",
        "available": "12.25000",
        "emailAddress": "keytyh@example.org",
        "telephoneNumbers": ["+43 1 234", "+43 664 123"],
        "otherDetails": "pays in May",
        "address": {"line1": "Ring 1", "line2": None, "postalCode": "1010", "city": "Wien", "country": "AT"},
    }


async def test_a_customer_begins_with_nothing_unless_told_otherwise(api: Api) -> None:
    payload = await api.done("createCustomer", DETAILS, {"username": "x", "password": PASSWORD}, by=api.operator)

    assert payload["account"] == {
        "username": "x*operator",
        "isReseller": False,
        "blocked": False,
        "balance": "0.00000",
        "creditLimit": "0.00000",
        "available": "0.00000",
        "emailAddress": None,
        "telephoneNumbers": [],
        "otherDetails": None,
        "address": {"line1": None, "line2": None, "postalCode": None, "city": None, "country": None},
    }
    async with api.db.read() as connection:
        selected = await connection.exec_driver_sql(
            "SELECT name FROM rate_lists JOIN account_state ON id = rate_list_id WHERE account_id <> 1"
        )
        assert selected.scalar_one() == "(Predefined) 0% List"


async def test_the_first_credit_is_a_credit_transaction_of_its_own(api: Api) -> None:
    keytyh = await api.customer("keytyh", of=api.operator, credit="5")

    nodes = await api("{ viewer { version transactions { nodes { amount balanceAfter kind } } } }", by=keytyh)
    assert nodes["viewer"] == {
        "version": 1,
        "transactions": {"nodes": [{"amount": "5.00000", "balanceAfter": "5.00000", "kind": "OPENING"}]},
    }


@pytest.mark.parametrize(
    ("wrong", "code", "path"),
    [
        ({"credit": "-1"}, "INVALID_AMOUNT", ["credit"]),
        ({"creditLimit": "-1"}, "INVALID_AMOUNT", ["creditLimit"]),
        ({"creditLimit": None}, "INVALID_AMOUNT", ["creditLimit"]),
        ({"rateListId": "nonsense"}, "NOT_FOUND", ["rateListId"]),
        ({"rateListId": "UmF0ZUxpc3Q6OTk5"}, "NOT_FOUND", ["rateListId"]),
        ({"resellerId": "nonsense"}, "NOT_FOUND", ["resellerId"]),
        ({"emailAddress": "nobody"}, "INVALID_INPUT", ["emailAddress"]),
        ({"emailAddress": "a@" + "b" * 260}, "INVALID_INPUT", ["emailAddress"]),
        ({"address": {"postalCode": "x" * 201}}, "INVALID_INPUT", ["address", "postalCode"]),
        ({"telephoneNumbers": ["1", ""]}, "INVALID_INPUT", ["telephoneNumbers", "1"]),
        ({"telephoneNumbers": ["1"] * 21}, "INVALID_INPUT", ["telephoneNumbers"]),
        ({"otherDetails": "zero\0"}, "INVALID_INPUT", ["otherDetails"]),
        ({"password": "x" * 1001}, "INVALID_INPUT", ["password"]),
    ],
)
async def test_a_customer_with_a_wrong_field_is_not_created(
    api: Api, wrong: dict[str, Any], code: str, path: list[str]
) -> None:
    before = await api.rows()

    asked = {"username": "keytyh", "password": PASSWORD, "credit": "5", **wrong}
    error = await api.refused("createCustomer", asked, by=api.operator)

    assert (error["code"], error["path"]) == (code, path)
    assert await api.rows() == before


async def test_only_the_operator_creates_customers_for_others(api: Api) -> None:
    good = await api.reseller("good", of=api.operator)
    low = await api.reseller("low", of=good)
    plain = await api.customer("plain", of=good)

    def asked(reseller: Person) -> dict[str, Any]:
        return {"username": "x", "password": PASSWORD, "resellerId": reseller.id}

    before = await api.rows()
    assert (await api.refused("createCustomer", asked(low), by=good))["code"] == "NOT_ALLOWED"
    assert (await api.refused("createCustomer", asked(api.operator), by=good))["code"] == "NOT_FOUND"
    assert (await api.refused("createCustomer", asked(plain), by=api.operator))["code"] == "NOT_A_RESELLER"
    own = {"username": "x", "password": PASSWORD}
    assert (await api.refused("createCustomer", own, by=plain))["code"] == "NOT_A_RESELLER"
    assert await api.rows() == before

    payload = await api.done("createCustomer", "account { username }", asked(low), by=api.operator)
    assert payload["account"] == {"username": "x*low"}
    payload = await api.done("createCustomer", "account { username }", asked(good), by=good)
    assert payload["account"] == {"username": "x*good"}


async def test_a_customer_can_be_made_a_reseller_later_and_then_has_customers(api: Api) -> None:
    keytyh = await api.customer("keytyh", of=api.operator)
    own = {"username": "x", "password": PASSWORD}
    assert (await api.refused("createCustomer", own, by=keytyh))["code"] == "NOT_A_RESELLER"

    for _ in range(2):
        payload = await api.done("makeReseller", "account { isReseller }", {"accountId": keytyh.id}, by=api.operator)
        assert payload["account"] == {"isReseller": True}

    assert (await api.customer("x", of=keytyh)).username == "x*keytyh"


async def test_the_reseller_mark_cannot_be_undone(api: Api) -> None:
    good = await api.reseller("good", of=api.operator)
    plain = await api.customer("plain", of=api.operator)
    before = await api.rows()

    asked = {"accountId": good.id, "isReseller": False, "emailAddress": "new@example.org"}
    error = await api.refused("updateAccount", asked, by=api.operator)

    assert (error["code"], error["message"]) == (
        "RESELLER_IS_PERMANENT",
        "The reseller mark cannot be undone once set.",
    )
    assert await api.rows() == before
    await api.done("updateAccount", DETAILS, {"accountId": plain.id, "isReseller": False}, by=api.operator)
    payload = await api.done("updateAccount", DETAILS, {"accountId": plain.id, "isReseller": True}, by=api.operator)
    assert payload["account"]["isReseller"] is True


async def test_what_an_update_leaves_out_stays_and_null_clears(api: Api) -> None:
    keytyh = await api.customer(
        "keytyh",
        of=api.operator,
        emailAddress="old@example.org",
        address={"line1": "Ring 1", "city": "Wien"},
        telephoneNumbers=["1", "2"],
        otherDetails="old",
    )

    async def update(**changes: Any) -> Any:
        return (await api.done("updateAccount", DETAILS, {"accountId": keytyh.id, **changes}, by=keytyh))["account"]

    before = await update()
    assert (before["emailAddress"], before["telephoneNumbers"], before["otherDetails"]) == (
        "old@example.org",
        ["1", "2"],
        "old",
    )
    changed = await update(emailAddress="new@example.org", address={"city": None, "country": "AT"})
    assert changed == {
        **before,
        "emailAddress": "new@example.org",
        "address": {"line1": "Ring 1", "line2": None, "postalCode": None, "city": None, "country": "AT"},
    }
    cleared = await update(emailAddress=None, address=None, telephoneNumbers=None, otherDetails=" ")
    assert (cleared["emailAddress"], cleared["telephoneNumbers"], cleared["otherDetails"]) == (None, [], None)
    assert set(cleared["address"].values()) == {None}


async def test_an_account_changes_its_own_details_but_not_its_rate_list_or_mark(api: Api) -> None:
    keytyh = await api.customer("keytyh", of=api.operator)
    before = await api.rows()

    for change in ({"rateListId": "UmF0ZUxpc3Q6Mg=="}, {"isReseller": True}):
        error = await api.refused("updateAccount", {"accountId": keytyh.id, "otherDetails": "x", **change}, by=keytyh)
        assert error["code"] == "NOT_ALLOWED"
    assert await api.rows() == before


async def test_a_reseller_selects_a_predefined_rate_list_or_one_of_its_own(api: Api) -> None:
    good, other = await api.reseller("good", of=api.operator), await api.reseller("other", of=api.operator)
    keytyh = await api.customer("keytyh", of=good)
    async with api.db.transaction() as tx:
        lists = await tx.exec_driver_sql(
            "INSERT INTO rate_lists (owner_id, name, deleted_at) VALUES ($1, 'own', null), ($1, 'gone', now()), "
            "($2, 'foreign', null) RETURNING name, id",
            (good.account_id, other.account_id),
        )
        ids = {row.name: row.id for row in lists}
        predefined = await tx.exec_driver_sql("SELECT name, id FROM rate_lists WHERE owner_id IS NULL")
        ids |= {row.name: row.id for row in predefined}
        base = await tx.exec_driver_sql("SELECT name, id FROM rate_lists WHERE is_base")
        ids |= {row.name: row.id for row in base}

    async def selected() -> int:
        async with api.db.read() as connection:
            found = await connection.exec_driver_sql(
                "SELECT rate_list_id FROM account_state WHERE account_id = $1", (keytyh.account_id,)
            )
            return int(found.scalar_one())

    for name in ("(Predefined) 10% List", "own", "(Predefined) 100% List"):
        asked = {"accountId": keytyh.id, "rateListId": global_id("RateList", ids[name])}
        await api.done("updateAccount", "account { id }", asked, by=good)
        assert await selected() == ids[name]
    before = await api.rows()
    for name in ("gone", "foreign", "Base rates"):
        asked = {"accountId": keytyh.id, "rateListId": global_id("RateList", ids[name])}
        error = await api.refused("updateAccount", asked, by=good)
        assert (error["code"], error["path"]) == ("NOT_FOUND", ["rateListId"])
    assert await api.rows() == before


async def test_a_block_reaches_everything_below_and_says_where_it_is_as_far_as_one_may_see(api: Api) -> None:
    top = await api.reseller("top", of=api.operator)
    middle = await api.reseller("middle", of=top)
    low = await api.customer("low", of=middle)
    query = "query ($id: ID!) { account(id: $id) { blocked blockedBy { username } } }"

    async def seen(account: Person, by: Person) -> tuple[bool, str | None]:
        found = (await api(query, {"id": account.id}, by=by))["account"]
        return found["blocked"], found["blockedBy"] and found["blockedBy"]["username"]

    assert await seen(low, by=low) == (False, None)
    payload = await api.done("blockAccount", BLOCK, {"accountId": middle.id}, by=api.operator)
    assert payload["account"] == {"blocked": True, "blockedBy": {"username": "middle*top"}}
    assert await seen(low, by=top) == await seen(low, by=middle) == (True, "middle*top")
    assert await seen(low, by=low) == (True, None)
    assert await seen(top, by=top) == (False, None)

    await api.done("blockAccount", BLOCK, {"accountId": top.id}, by=api.operator)
    assert await seen(low, by=api.operator) == await seen(low, by=top) == (True, "top*operator")
    assert await seen(low, by=middle) == (True, "middle*top")

    payload = await api.done("unblockAccount", BLOCK, {"accountId": middle.id}, by=api.operator)
    assert payload["account"] == {"blocked": True, "blockedBy": {"username": "top*operator"}}
    assert await seen(low, by=middle) == (True, None)
    await api.done("unblockAccount", BLOCK, {"accountId": top.id}, by=api.operator)
    assert await seen(low, by=low) == (False, None)


async def test_a_reseller_blocks_anyone_below_it_and_nobody_else(api: Api) -> None:
    top, sibling = await api.reseller("top", of=api.operator), await api.reseller("sibling", of=api.operator)
    middle = await api.reseller("middle", of=top)
    low = await api.customer("low", of=middle)

    await api.done("blockAccount", BLOCK, {"accountId": low.id}, by=top)
    await api.done("unblockAccount", BLOCK, {"accountId": low.id}, by=top)
    before = await api.rows()
    for mutation in ("blockAccount", "unblockAccount"):
        for account, code in ((top, "NOT_ALLOWED"), (sibling, "NOT_FOUND"), (api.operator, "NOT_FOUND")):
            assert (await api.refused(mutation, {"accountId": account.id}, by=top))["code"] == code
    assert (await api.refused("blockAccount", {"accountId": api.operator.id}, by=api.operator))["code"] == "NOT_ALLOWED"
    assert await api.rows() == before


async def test_a_blocked_account_signs_in_and_reads_but_changes_nothing(api: Api) -> None:
    top = await api.reseller("top", of=api.operator)
    low = await api.reseller("low", of=top, credit="5")
    below = await api.customer("below", of=low)
    await api.done("blockAccount", BLOCK, {"accountId": top.id}, by=api.operator)

    low = await api.sign_in(low.username)
    assert await api("{ viewer { username balance blocked customers { nodes { username } } } }", by=low) == {
        "viewer": {
            "username": "low*top",
            "balance": "5.00000",
            "blocked": True,
            "customers": {"nodes": [{"username": "below*low"}]},
        }
    }
    before = await api.rows()
    for mutation, asked in {
        "createCustomer": {"username": "x", "password": PASSWORD},
        "updateAccount": {"accountId": low.id, "otherDetails": "x"},
        "changePassword": {"currentPassword": PASSWORD, "newPassword": "brand new"},
        "blockAccount": {"accountId": below.id},
        "unblockAccount": {"accountId": below.id},
        "makeReseller": {"accountId": below.id},
        "setCreditLimit": {"accountId": below.id, "creditLimit": "1"},
        "createCreditTransaction": {"accountId": below.id, "amount": "1", "idempotencyKey": "1"},
        "createApiToken": {"name": "x", "scopes": ["READ"]},
        "revokeApiToken": {"tokenId": "x"},
    }.items():
        error = await api.refused(mutation, asked, by=low)
        assert (error["code"], error["account"]) == ("ACCOUNT_BLOCKED", {"username": "low*top"})
    assert await api.rows() == before
    assert await api("mutation { logout { errors { code } } }", by=low) == {"logout": {"errors": []}}


async def test_a_credit_limit_lets_the_balance_go_below_zero_and_is_never_unlimited(api: Api) -> None:
    keytyh = await api.customer("keytyh", of=api.operator)
    fields = "account { creditLimit available version }"

    payload = await api.done("setCreditLimit", fields, {"accountId": keytyh.id, "creditLimit": "7.5"}, by=api.operator)
    assert payload["account"] == {"creditLimit": "7.50000", "available": "7.50000", "version": 1}
    payload = await api.done("setCreditLimit", fields, {"accountId": keytyh.id, "creditLimit": "7.5"}, by=api.operator)
    assert payload["account"]["version"] == 1

    before = await api.rows()
    for limit in (None, "-0.00001"):
        asked = {"accountId": keytyh.id, "creditLimit": limit}
        error = await api.refused("setCreditLimit", asked, by=api.operator)
        assert (error["code"], error["path"]) == ("INVALID_AMOUNT", ["creditLimit"])
    own = {"accountId": keytyh.id, "creditLimit": "100"}
    assert (await api.refused("setCreditLimit", own, by=keytyh))["code"] == "NOT_ALLOWED"
    assert await api.rows() == before
    assert await api("{ viewer { creditLimit available } }", by=api.operator) == {
        "viewer": {"creditLimit": None, "available": None}
    }


async def test_the_list_of_customers_has_every_column_of_its_screen_in_one_query(api: Api) -> None:
    good = await api.reseller("good", of=api.operator)
    keytyh = await api.customer("keytyh", of=good, credit="9.25")
    await api.reseller("under", of=good, blocked=True)
    async with api.db.transaction() as tx:
        await tx.exec_driver_sql(
            "INSERT INTO usage_days (account_id, day, calls, duration_s, charged_units) "
            "SELECT $1, (now() AT TIME ZONE 'UTC')::date - days, 1, 2065, 100000 FROM unnest($2::int[]) AS days",
            (keytyh.account_id, [0, 27, 28]),
        )
    query = """{ viewer { customers { nodes {
      username balance blocked isReseller usage { calls durationSeconds charged } } } } }"""

    assert (await api(query, by=good))["viewer"]["customers"]["nodes"] == [
        {
            "username": "keytyh*good",
            "balance": "9.25000",
            "blocked": False,
            "isReseller": False,
            "usage": {"calls": 2, "durationSeconds": 4130, "charged": "2.00000"},
        },
        {
            "username": "under*good",
            "balance": "0.00000",
            "blocked": True,
            "isReseller": True,
            "usage": {"calls": 0, "durationSeconds": 0, "charged": "0.00000"},
        },
    ]
    spans = """{ viewer { early: usage(since: "2000-01-01") { calls } none: usage(until: "2001-01-01") { calls } } }"""
    assert (await api(spans, by=keytyh))["viewer"] == {"early": {"calls": 3}, "none": {"calls": 0}}
    wrong = '{ viewer { usage(since: "2026-01-02", until: "2026-01-01") { calls } } }'
    assert await api.failure(wrong, by=keytyh) == "BAD_USER_INPUT"


async def test_sums_beyond_what_an_int_holds_are_shown(api: Api) -> None:
    async with api.db.transaction() as tx:
        await tx.exec_driver_sql(
            "INSERT INTO usage_days (account_id, day, calls, duration_s, charged_units) "
            "VALUES ($1, (now() AT TIME ZONE 'UTC')::date, 3000000000, 180000000000, 900000000000000000)",
            (api.operator.account_id,),
        )
    assert (await api("{ viewer { usage { calls durationSeconds charged } } }", by=api.operator))["viewer"] == {
        "usage": {"calls": 3_000_000_000, "durationSeconds": 180_000_000_000, "charged": "9000000000000.00000"}
    }


async def test_the_tree_is_at_most_256_levels_deep(api: Api) -> None:
    async with api.db.transaction() as tx:
        await tx.exec_driver_sql(
            "INSERT INTO accounts (id, username, parent_id, path, is_reseller, password_hash) "
            "SELECT 1000 + level, 'r' || level || '*r' || level - 1, CASE level WHEN 1 THEN $1 ELSE 999 + level END, "
            "ARRAY[$1] || ARRAY(SELECT 1000 + above FROM generate_series(1, level) AS above), true, "
            "(SELECT password_hash FROM accounts WHERE id = $1) FROM generate_series(1, 254) AS level",
            (api.operator.account_id,),
        )
        await tx.exec_driver_sql(
            "INSERT INTO account_state (account_id, rate_list_id) "
            "SELECT 1000 + level, (SELECT min(id) FROM rate_lists WHERE NOT is_base) "
            "FROM generate_series(1, 254) AS level"
        )
    deepest_but_one = await api.sign_in("r254*r253")
    deepest = await api.reseller("deepest", of=deepest_but_one, credit="1")
    assert await api("{ viewer { depth } }", by=deepest) == {"viewer": {"depth": 255}}
    before = await api.rows()

    error = await api.refused("createCustomer", {"username": "x", "password": PASSWORD}, by=deepest)

    assert (error["code"], error["message"]) == ("TREE_TOO_DEEP", "The tree has at most 256 levels.")
    assert await api.rows() == before


async def test_the_operator_owns_the_base_rates_and_its_credit_is_unlimited(api: Api) -> None:
    query = (
        "{ viewer { username isReseller depth creditLimit available rateLists { name isBase owner { username } } } }"
    )
    viewer = (await api(query, by=api.operator))["viewer"]

    base = [found for found in viewer.pop("rateLists") if found["isBase"]]
    assert base == [{"name": "Base rates", "isBase": True, "owner": {"username": "operator"}}]
    assert viewer == {"username": "operator", "isReseller": True, "depth": 0, "creditLimit": None, "available": None}
    before = await api.rows()
    own = {"accountId": api.operator.id}
    for mutation, asked in {
        "setCreditLimit": {**own, "creditLimit": "1"},
        "createCreditTransaction": {**own, "amount": "1", "idempotencyKey": "1"},
        "blockAccount": own,
        "updateAccount": {**own, "isReseller": False},
    }.items():
        assert (await api.refused(mutation, asked, by=api.operator))["code"] == "NOT_ALLOWED", mutation
    assert await api.rows() == before


async def test_a_reseller_has_every_function_that_its_own_reseller_has(api: Api) -> None:
    reseller = api.operator
    for name in ("first", "second", "third"):
        reseller = await api.reseller(name, of=reseller)
        customer = await api.customer("plain", of=reseller, credit="1")
        target = {"accountId": customer.id}
        await api.done(
            "createCreditTransaction", "duplicate", {**target, "amount": "1", "idempotencyKey": "1"}, by=reseller
        )
        await api.done("setCreditLimit", "account { id }", {**target, "creditLimit": "2"}, by=reseller)
        await api.done("blockAccount", "account { id }", target, by=reseller)
        await api.done("unblockAccount", "account { id }", target, by=reseller)
        made = await api.done(
            "createRateList", "rateList { id }", {"name": "mine", "discountPercent": "-20"}, by=reseller
        )
        chosen = {**target, "rateListId": made["rateList"]["id"]}
        await api.done("updateAccount", "account { id }", chosen, by=reseller)
        await api.done("makeReseller", "account { id }", target, by=reseller)
        assert await api("{ viewer { balance creditLimit isReseller } }", by=customer) == {
            "viewer": {"balance": "2.00000", "creditLimit": "2.00000", "isReseller": True}
        }
