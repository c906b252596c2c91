"""Rerating calls, a bounded part at a time: the operator alone, for the reason that it alone refunds."""

import time
from collections import Counter
from dataclasses import dataclass, field
from datetime import datetime
from typing import cast

from billing.call_adjustments import Adjustment
from billing.errors import InvalidInput, InvalidNumber, NotFound
from billing.phone_number import parse_number
from billing.rerated_call import Finding
from billing.rerating import Position, RerateScope, RerateStep, rerate_step
from resolvers.access import Scope, require_operator
from resolvers.accounts import visible_account
from resolvers.context import RequestContext
from resolvers.pages import PageRequest, page_request

# A request ends after so many calls, or with the step in which its time is over.
CALLS_MAX = 5_000
_SECONDS_MAX = 5.0
SAMPLE_MAX = 20


@dataclass(slots=True)
class RerateTotal:
    """What the accounts of one depth pay more, and what they are given back, each summed over the calls."""

    charged_units: int = 0
    given_back_units: int = 0


@dataclass(slots=True)
class RerateReport:
    """What was found, and what was changed or, in a dry run, would be: ``totals`` by depth, the operator's being 0.

    ``next_cursor`` None: the calls of the scope have all been looked at.
    """

    found: Counter[Finding] = field(default_factory=Counter)
    totals: dict[int, RerateTotal] = field(default_factory=dict)
    sample: list[Adjustment] = field(default_factory=list)
    next_cursor: str | None = None

    def add(self, step: RerateStep) -> None:
        """Take in what a step found."""
        self.found.update(step.found)
        self.sample += step.adjustments[: SAMPLE_MAX - len(self.sample)]
        for adjustment in step.adjustments:
            for depth, units in enumerate(adjustment.amounts()):
                total = self.totals.setdefault(depth, RerateTotal())
                total.charged_units += max(units, 0)
                total.given_back_units += max(-units, 0)


def rerate_scope(
    since: datetime, until: datetime, prefix: str | None, account_id: int, *, unrated_only: bool
) -> RerateScope:
    """A checked scope; ``prefix`` in any form a number may be given in. Raises: InvalidInput, InvalidNumber."""
    if since >= until:
        raise InvalidInput("`until` must be after `since`.", path=("until",))
    try:
        digits = None if prefix is None else parse_number(prefix)
    except InvalidNumber as refusal:
        refusal.path = ("prefix",)
        raise
    return RerateScope(since, until, account_id, digits, unrated_only)


async def rerate_calls(
    context: RequestContext,
    *,
    since: datetime,
    until: datetime,
    prefix: str | None,
    account_id: int | None,
    unrated_only: bool,
    dry_run: bool,
    after: str | None,
) -> RerateReport:
    """Rerate the calls of an account and everything below it, on from ``after``: some 5,000, or 5 s long.

    Raises: NotFound; NotAllowed for anybody but the operator; InvalidInput; InvalidNumber; BadUserInput for a cursor
    of other calls.
    """
    viewer = context.require_viewer(Scope.MANAGE)
    account = await visible_account(context, account_id)
    if account is None:
        raise NotFound("There is no such account.", path=("accountId",))
    require_operator(viewer, "rerate calls: it changes the charges of the whole path")
    scope = rerate_scope(since, until, prefix, account.id, unrated_only=unrated_only)
    request = _cursors_of(scope, after)
    position = cast("Position | None", request.position)
    begun, scanned = time.monotonic(), 0
    report = RerateReport()
    while scanned < CALLS_MAX and time.monotonic() - begun < _SECONDS_MAX:
        step = await rerate_step(
            context.services.db,
            context.services.price_book,
            scope,
            position,
            author_id=None if dry_run else viewer.account_id,
        )
        scanned += step.scanned
        report.add(step)
        position = step.after
        if position is None:
            break
    report.next_cursor = None if position is None else request.cursor(position)
    return report


def _cursors_of(scope: RerateScope, after: str | None) -> PageRequest:
    """Cursors belong to their scope: continuing another one would leave calls out."""
    order = f"rerate:{scope.since}:{scope.until}:{scope.account_id}:{scope.prefix}:{scope.unrated_only}"
    return page_request(order, (datetime, int), after=after)
