"""What has changed about the charges of calls since they were booked, of the levels that the viewer may see."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from sqlalchemy import text

from billing.call_adjustments import AdjustmentKind
from billing.charge_order import BookedCall, CallStatus
from resolvers.access import AccountPath, visible_path
from resolvers.accounts import visible_account
from resolvers.context import RequestContext

_ADJUSTMENTS = text(
    "SELECT adjustment.* FROM unnest(CAST(:accounts AS bigint[]), CAST(:starts AS timestamptz[]), "
    "CAST(:numbers AS bigint[])) AS wanted (account_id, started_at, call_no) "
    "JOIN call_adjustments AS adjustment USING (account_id, started_at, call_no) ORDER BY adjustment.id"
)


@dataclass(frozen=True, slots=True)
class AdjustmentRow:
    """One change of what one level pays for a call; see `models.call_adjustment`."""

    account_id: int
    kind: str
    amount_units: int
    price_before_e8: int | None
    price_after_e8: int | None
    reason: str | None
    created_by_id: int
    created_at: datetime


async def visible_adjustments(context: RequestContext, call: BookedCall) -> list[AdjustmentRow]:
    """The changes on the levels from the viewer down to the caller: the oldest first, each top down. Batched."""
    account = await visible_account(context, call.account_id)
    if account is None or context.viewer is None:
        return []
    path = visible_path(context.viewer, account.path)

    async def load_many(calls: Sequence[tuple[AccountPath, datetime, int]]) -> dict[Any, list[AdjustmentRow]]:
        wanted = [(account_id, at, number) for path, at, number in calls for account_id in path]
        accounts, starts, numbers = map(list, zip(*wanted, strict=True))
        async with context.services.db.read() as connection:
            rows = await connection.execute(_ADJUSTMENTS, {"accounts": accounts, "starts": starts, "numbers": numbers})
            # A call's number is its own, so the path need not be looked at again.
            found: dict[int, list[AdjustmentRow]] = {}
            for row in rows:
                found.setdefault(row.call_no, []).append(_adjustment_row(row))
        return {(path, at, number): found.get(number, []) for path, at, number in calls}

    loader = context.loaders.loader("call adjustments", load_many)
    return await loader.load((path, call.started_at, call.call_no)) or []


async def refund_by_level(context: RequestContext, call: BookedCall) -> dict[int, AdjustmentRow]:
    """The refund of each visible level, by account; empty where the call was not refunded."""
    if call.status != CallStatus.REFUNDED:
        return {}
    rows = await visible_adjustments(context, call)
    return {row.account_id: row for row in rows if row.kind == AdjustmentKind.REFUND}


def _adjustment_row(row: Any) -> AdjustmentRow:
    return AdjustmentRow(
        row.account_id,
        row.kind,
        row.amount_units,
        row.price_per_minute_before_e8,
        row.price_per_minute_after_e8,
        row.reason,
        row.created_by_id,
        row.created_at,
    )
