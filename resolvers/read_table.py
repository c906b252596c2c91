"""Which column or expression each GraphQL field is. What is not here, its ordinary resolver answers.

The statements are those of the ordinary resolvers; a row has the columns that they select. Each names the table that it
begins from (`select_from`), since it keeps only the columns that are named here.
"""

from collections.abc import Callable
from typing import Any

from sqlalchemy import BigInteger, ColumnElement, Select, Text, and_, any_, bindparam, func, or_, select, type_coerce
from sqlalchemy.dialects.postgresql import ARRAY
from sqlalchemy.orm import aliased

from billing.call_adjustments import AdjustmentKind
from models.tables import Account, AccountCount, AccountState, CallAdjustment, Charge, RateList, usage_parts
from resolvers import json_text
from resolvers.account_figures import select_usage
from resolvers.account_lists import CUSTOMERS, AccountOrderField, select_accounts_of
from resolvers.accounts import is_blocked, select_accounts
from resolvers.call_filter import CALL_COLUMNS_SORTED, CALL_SORT_KINDS, select_calls_of
from resolvers.calls import select_call
from resolvers.credit_transactions import SORT_COLUMNS, SORT_KINDS, select_transactions_of
from resolvers.holds import HOLD_SORT_COLUMNS, HOLD_SORT_KINDS, select_holds_of
from resolvers.json_text import Json, Write, nullable
from resolvers.rate_lists import select_lists_to_choose, select_rate_lists, selection_is_shown, visible_list
from resolvers.statement import Compiler, FieldWriter, LeftOut, ReadTable, Rows, Selected
from resolvers.statement_pages import Listing, connection_json
from resolvers.visibility import ANY_VIEWER, sees

# Bound for every request: the installation's currency.
CURRENCY = "currency"


def _column(name: str, write: Write) -> FieldWriter:
    def field(_compiler: Compiler, rows: Rows, _selected: Selected) -> Json:
        return write(getattr(rows, name))

    return field


def _expression(write: Callable[[Rows], Json]) -> FieldWriter:
    def field(_compiler: Compiler, rows: Rows, _selected: Selected) -> Json:
        return write(rows)

    return field


def _one(type_name: str, statement: Callable[[Rows], Select[*tuple[Any, ...]]]) -> FieldWriter:
    def field(compiler: Compiler, rows: Rows, selected: Selected) -> Json:
        return compiler.one(type_name, statement(rows), selected)

    return field


def _many(type_name: str, statement: Callable[[Rows], Select[*tuple[Any, ...]]]) -> FieldWriter:
    def field(compiler: Compiler, rows: Rows, selected: Selected) -> Json:
        return compiler.many(type_name, statement(rows), selected)

    return field


def _page(type_name: str, listing: Callable[[Rows, Any], Listing]) -> FieldWriter:
    def field(compiler: Compiler, rows: Rows, selected: Selected) -> Json:
        return connection_json(compiler, type_name, listing(rows, compiler.request(selected)), selected)

    return field


def _same_row(type_name: str) -> FieldWriter:
    def field(compiler: Compiler, rows: Rows, selected: Selected) -> Json:
        return compiler.object(type_name, rows, selected)

    return field


def _accounts() -> Select[*tuple[Any, ...]]:
    """Accounts with the columns that the table below needs."""
    return select_accounts().add_columns(is_blocked().label("blocked"))


def _account(account_id: ColumnElement[int]) -> Select[*tuple[Any, ...]]:
    """The account of this number, if the viewer sees it."""
    return _accounts().where(Account.id == account_id, sees(ANY_VIEWER, Account.path))


def _path(rows: Rows) -> Any:
    return type_coerce(rows.path, ARRAY(BigInteger))


def _on_path(rows: Rows) -> Select[*tuple[Any, ...]]:
    """The accounts from the viewer down to the row's."""
    return _accounts().where(Account.id == any_(_path(rows)), sees(ANY_VIEWER, Account.path))


def _available(rows: Rows) -> Json:
    available = rows.balance_units + rows.credit_limit_units - rows.held_units
    return nullable(json_text.money)(available)


def _accounts_page(rows: Rows, request: Any) -> Listing:
    in_tree_order = request.of == CUSTOMERS or request.order.field is AccountOrderField.PATH
    wanted = request.wanted
    if wanted.search is not None or wanted.blocked is not None or not in_tree_order:
        raise LeftOut  # the best index depends on the text, on who is blocked, or on how many accounts are below
    statement = select_accounts_of(rows, request)
    # What blocks an account blocks its customers, so only their own mark is to be looked at.
    blocked = or_(rows.blocked, AccountState.blocked) if request.of == CUSTOMERS else is_blocked()
    return Listing(
        statement.add_columns(blocked.label("blocked")),
        request.page,
        request.columns,
        request.kinds,
        request.order.descending,
    )


def _count(column: Any) -> FieldWriter:
    def field(_compiler: Compiler, rows: Rows, _selected: Selected) -> Json:
        kept = select(column).where(AccountCount.account_id == rows.id).scalar_subquery()
        return json_text.number(func.coalesce(kept, json_text.whole(0)))

    return field


def _transactions_page(rows: Rows, request: Any) -> Listing:
    statement = select_transactions_of(rows.id, request, ANY_VIEWER)
    return Listing(statement, request.page, SORT_COLUMNS, SORT_KINDS, descending=True)


def _calls_page(rows: Rows, request: Any) -> Listing:
    chosen = request.chosen
    if any(one is not None for one in (chosen.number_prefix, chosen.destination, chosen.status)):
        raise LeftOut  # how far to look for calls that fit depends on the account
    statement = select_calls_of(rows.id, chosen)
    return Listing(statement, request.page, CALL_COLUMNS_SORTED, CALL_SORT_KINDS, chosen.descending)


def _holds_page(rows: Rows, page: Any) -> Listing:
    return Listing(select_holds_of(rows.id), page, HOLD_SORT_COLUMNS, HOLD_SORT_KINDS)


def _usage(compiler: Compiler, rows: Rows, selected: Selected) -> Json:
    statement = select_usage(compiler.request(selected)).where(usage_parts.c.account_id == rows.id)
    return compiler.row(statement, lambda found: compiler.object("Usage", found, selected))


def _selected_list(rows: Rows) -> Select[*tuple[Any, ...]]:
    shown = and_(visible_list(ANY_VIEWER), selection_is_shown(ANY_VIEWER, rows.id))
    return select_rate_lists().where(RateList.id == rows.rate_list_id, shown)


def _lists_to_choose(rows: Rows) -> Select[*tuple[Any, ...]]:
    return select_lists_to_choose(RateList.owner_id == rows.id).where(rows.is_reseller)


_ACCOUNT: dict[str, FieldWriter] = {
    "id": _column("id", json_text.global_id("Account")),
    "username": _column("username", json_text.plain_text),
    "depth": _expression(lambda rows: json_text.number(func.cardinality(_path(rows)) - json_text.whole(1))),
    "isReseller": _column("is_reseller", json_text.boolean),
    "heldToOwnCredit": _column("credit_within_own", json_text.boolean),
    "blocked": _column("blocked", json_text.boolean),
    "balance": _column("balance_units", json_text.money),
    "held": _column("held_units", json_text.money),
    "available": _expression(_available),
    "creditLimit": _column("credit_limit_units", nullable(json_text.money)),
    "version": _column("version", json_text.number),
    "currency": _expression(lambda _rows: json_text.text(bindparam(CURRENCY, type_=Text))),
    "emailAddress": _column("email_address", nullable(json_text.text)),
    "address": _same_row("Address"),
    "telephoneNumbers": _column("telephone_numbers", json_text.text),
    "otherDetails": _column("other_details", nullable(json_text.text)),
    "createdAt": _column("created_at", json_text.instant),
    "parent": _one("Account", lambda rows: _account(rows.parent_id)),
    "path": _many("Account", lambda rows: _on_path(rows).order_by(func.cardinality(Account.path))),
    "blockedBy": _one(
        "Account",
        lambda rows: _on_path(rows).where(AccountState.blocked).order_by(func.cardinality(Account.path)).limit(1),
    ),
    "customers": _page("Account", _accounts_page),
    "descendants": _page("Account", _accounts_page),
    "customerCount": _count(AccountCount.customers),
    "descendantCount": _count(AccountCount.descendants),
    "transactions": _page("CreditTransaction", _transactions_page),
    "calls": _page("Call", _calls_page),
    "holds": _page("Hold", _holds_page),
    "usage": _usage,
    "rateList": _one("RateList", _selected_list),
    "rateLists": _many("RateList", _lists_to_choose),
}

_ADDRESS: dict[str, FieldWriter] = {
    "line1": _column("address_line1", nullable(json_text.text)),
    "line2": _column("address_line2", nullable(json_text.text)),
    "postalCode": _column("postal_code", nullable(json_text.text)),
    "city": _column("city", nullable(json_text.text)),
    "country": _column("country", nullable(json_text.text)),
}

_USAGE: dict[str, FieldWriter] = {
    "calls": _column("calls", json_text.number),
    "durationSeconds": _column("duration_s", json_text.number),
    "charged": _column("charged_units", json_text.money),
    "refunded": _column("refunded_units", json_text.money),
}

_CREDIT_TRANSACTION: dict[str, FieldWriter] = {
    "id": _column("id", json_text.global_id("CreditTransaction")),
    "amount": _column("amount_units", json_text.money),
    "balanceAfter": _column("balance_after_units", json_text.money),
    "kind": _column("kind", json_text.plain_text),
    "remark": _column("remark", nullable(json_text.text)),
    "privateRemark": _column("private_remark", nullable(json_text.text)),
    "createdAt": _column("created_at", json_text.instant),
    "account": _one("Account", lambda rows: _account(rows.account_id)),
    "createdBy": _one("Account", lambda rows: _account(rows.created_by_id)),
}


def _refund(account_id: Any, rows: Rows) -> Select[*tuple[Any, ...]]:
    """The refund of the row's call on one level."""
    return select(CallAdjustment.amount_units, CallAdjustment.reason).where(
        CallAdjustment.account_id == account_id,
        CallAdjustment.started_at == rows.started_at,
        CallAdjustment.call_no == rows.call_no,
        CallAdjustment.kind == AdjustmentKind.REFUND,
    )


def _refunded(rows: Rows) -> Json:
    given_back = _refund(rows.account_id, rows).with_only_columns(-CallAdjustment.amount_units).scalar_subquery()
    return json_text.money(func.coalesce(given_back, json_text.whole(0)))


def _refund_reason(rows: Rows) -> Json:
    reason = _refund(rows.account_id, rows).with_only_columns(CallAdjustment.reason).scalar_subquery()
    return nullable(json_text.text)(reason)


def _charges(rows: Rows) -> Select[*tuple[Any, ...]]:
    """What the levels from the viewer down to the caller paid for the row's call, top down."""
    caller = aliased(Account, name="caller")
    return (
        select(Charge.account_id, Charge.started_at, Charge.call_no, Charge.amount_units, Charge.price_per_minute_e8)
        .select_from(caller)
        .join(
            Charge,
            and_(
                Charge.account_id == any_(caller.path[ANY_VIEWER.depth : func.cardinality(caller.path)]),
                Charge.started_at == rows.started_at,
                Charge.call_no == rows.call_no,
            ),
        )
        .where(caller.id == rows.account_id, Charge.price_per_minute_e8.is_not(None))
        .order_by(func.array_position(caller.path, Charge.account_id))
    )


_CALL: dict[str, FieldWriter] = {
    "id": _column("call_id", json_text.global_id("Call", plain=False)),
    "callId": _column("call_id", json_text.text),
    "number": _column("number", json_text.text),
    "callerNumber": _column("caller_number", nullable(json_text.text)),
    "destination": _column("destination", nullable(json_text.text)),
    "prefix": _column("prefix", nullable(json_text.text)),
    "startedAt": _column("started_at", json_text.instant),
    "durationSeconds": _column("duration_s", json_text.number),
    "billedSeconds": _column("billed_s", json_text.number),
    "charged": _column("charged_units", json_text.money),
    "status": _column("status", json_text.plain_text),
    "unratedReason": _column("unrated_reason", nullable(json_text.text)),
    "overdrawn": _column("overdrawn", json_text.boolean),
    "account": _one("Account", lambda rows: _account(rows.account_id)),
    "charges": _many("Charge", _charges),
    "refunded": _expression(_refunded),
    "refundReason": _expression(_refund_reason),
}

_CHARGE: dict[str, FieldWriter] = {
    "amount": _column("amount_units", json_text.money),
    "pricePerMinute": _column("price_per_minute_e8", json_text.price),
    "refunded": _expression(_refunded),
    "account": _one("Account", lambda rows: _account(rows.account_id)),
}

_HOLD: dict[str, FieldWriter] = {
    "callId": _column("call_id", json_text.text),
    "number": _column("number", json_text.text),
    "startedAt": _column("at", json_text.instant),
    "held": _column("held_units", json_text.money),
    "heldSeconds": _column("held_s", json_text.number),
    "heldUntil": _column("expires_at", json_text.instant),
    "account": _one("Account", lambda rows: _account(rows.customer_id)),
}

_RATE_LIST: dict[str, FieldWriter] = {
    "id": _column("id", json_text.global_id("RateList")),
    "name": _column("name", json_text.text),
    "predefined": _column("is_predefined", json_text.boolean),
    "isBase": _column("is_base", json_text.boolean),
    "discountPercent": _column("discount_e4", json_text.percent),
    "owner": _one("Account", lambda rows: _account(rows.owner_id)),
}


def _root_account(compiler: Compiler, _rows: Rows, selected: Selected) -> Json:
    wanted = compiler.request(selected)
    if wanted.username is not None:
        found = func.lower(Account.username) == func.lower(wanted.username)
    else:
        found = Account.id == wanted.account_id
    return compiler.one("Account", _accounts().where(found, sees(ANY_VIEWER, Account.path)), selected)


def _root_call(compiler: Compiler, _rows: Rows, selected: Selected) -> Json:
    caller = aliased(Account, name="caller")
    call = select_call(compiler.request(selected).call_id)
    visible = call.join(caller, caller.id == call.selected_columns.account_id).where(sees(ANY_VIEWER, caller.path))
    return compiler.one("Call", visible, selected)


_QUERY: dict[str, FieldWriter] = {
    "viewer": _one("Account", lambda _rows: _account(ANY_VIEWER.account_id)),
    "account": _root_account,
    "call": _root_call,
}

READ_TABLE: ReadTable = {
    "Query": _QUERY,
    "Account": _ACCOUNT,
    "Address": _ADDRESS,
    "Usage": _USAGE,
    "CreditTransaction": _CREDIT_TRANSACTION,
    "Call": _CALL,
    "Charge": _CHARGE,
    "Hold": _HOLD,
    "RateList": _RATE_LIST,
}
