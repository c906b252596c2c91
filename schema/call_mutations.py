"""Reporting finished calls: `chargeCall` and `chargeCalls`."""

import dataclasses
from collections.abc import Mapping
from datetime import datetime
from typing import Annotated, Any

import strawberry

from billing import charge_order
from billing.charge_order import BookedCall, CallStatus
from billing.errors import Refusal
from resolvers import billing_resolver
from resolvers.access import Scope
from resolvers.billing_resolver import CallRequest
from schema.call_texts import CALL_ID, CALLER_NUMBER, STARTED_AT, TALKED_SECONDS
from schema.calls import Call
from schema.enums import graphql_enum
from schema.errors import UserError
from schema.info import Info
from schema.mutation import errors_field, mutation
from schema.refused_call import RefusedCall, account_number

ChargePolicy = graphql_enum(
    charge_order.ChargePolicy,
    name="ChargePolicy",
    description="What to do with a finished call that an account on the path cannot pay.",
    values={
        "CHECK_CREDIT": "Treat it as a new call: refused where an account on the path is blocked, cannot pay, or "
        "has no rate. Nothing is changed then. A call that was authorised by its `callId` has run: it is charged "
        "whatever stands in its way, and what was held for it is free.",
        "ALWAYS_CHARGE": "The call has been carried: charge the whole path, below zero if need be (`overdrawn`); a "
        "call without a rate is kept as UNRATED.",
    },
)


@strawberry.input(description="A finished call.")
class CallInput:
    call_id: str = strawberry.field(description=CALL_ID)
    account_id: strawberry.ID | None = strawberry.field(
        default=None, description="Whose call it is. Give this or `username`."
    )
    username: str | None = strawberry.field(
        default=None, description="Whose call it is, by full username. Give this or `accountId`."
    )
    number: str = strawberry.field(
        description="The called number: E.164 digits; a leading `+` or `00` and separators are stripped."
    )
    caller_number: str | None = strawberry.field(default=None, description=CALLER_NUMBER)
    started_at: datetime = strawberry.field(description=STARTED_AT)
    duration_seconds: int = strawberry.field(description=TALKED_SECONDS)


def _call_request(value: Mapping[str, Any]) -> CallRequest:
    """A coerced `CallInput` as the resolver takes it."""
    return CallRequest(
        value["callId"],
        account_number(value.get("accountId")),
        value.get("username"),
        value["number"],
        value.get("callerNumber"),
        value["startedAt"],
        value["durationSeconds"],
    )


@strawberry.input(description="Input of `chargeCall`.")
class ChargeCallInput:
    call: CallInput = strawberry.field(description="The finished call.")
    policy: ChargePolicy = strawberry.field(  # type: ignore[valid-type]
        default=charge_order.ChargePolicy.CHECK_CREDIT, description="What to do where somebody cannot pay."
    )


@strawberry.input(description="Input of `chargeCalls`.")
class ChargeCallsInput:
    calls: list[CallInput] = strawberry.field(
        description="At most 1,000 finished calls, charged in this sequence. A value that is not of its type, such as "
        "a time that is none, refuses the whole request and is named with its call's position."
    )
    policy: ChargePolicy = strawberry.field(  # type: ignore[valid-type]
        default=charge_order.ChargePolicy.CHECK_CREDIT, description="What to do where somebody cannot pay."
    )


# Strawberry would make an object of each call by a walk through its fields, and a thousand come in one request.
ChargeCallInput.__strawberry_definition__.from_input = (  # type: ignore[attr-defined]
    lambda type_, value, _context: type_(call=_call_request(value["call"]), policy=value["policy"])
)
ChargeCallsInput.__strawberry_definition__.from_input = (  # type: ignore[attr-defined]
    lambda type_, value, _context: type_(calls=[*map(_call_request, value["calls"])], policy=value["policy"])
)


@strawberry.type(description="Payload of `chargeCall`.")
class ChargeCallPayload:
    call: Call | None = strawberry.field(default=None, description="The call in the books.")
    duplicate: bool = strawberry.field(
        default=False, description="Whether the same `callId` was in the books already; nothing changed then."
    )
    errors: list[UserError] = errors_field()


def _calls_of(root: Any) -> list[Call]:
    return [Call.of(row) for row in root.booked]


@strawberry.type(description="Payload of `chargeCalls`: each call succeeds or is refused on its own.")
class ChargeCallsPayload:
    charged: int = strawberry.field(default=0, description="How many calls were charged now.")
    duplicates: int = strawberry.field(default=0, description="How many were in the books already.")
    unrated: int = strawberry.field(default=0, description="How many were kept without a rate (ALWAYS_CHARGE).")
    refused: list[RefusedCall] = strawberry.field(default_factory=list, description="The calls that were refused.")
    calls: list[Call] = strawberry.field(
        resolver=_calls_of,
        description="The calls in the books, in the sequence of the input, refused ones left out.",
    )
    errors: list[UserError] = errors_field()
    booked: strawberry.Private[list[BookedCall]] = dataclasses.field(default_factory=list)


@strawberry.type
class CallMutations:
    # A blocked reseller's switch must still report calls that were running: each call's own path decides.
    @mutation(
        description="Charge a finished call along its whole path, all or nothing, once per `callId`.",
        scope=Scope.CALLS_CHARGE,
        blocked_viewer=True,
    )
    async def charge_call(
        self,
        info: Info,
        input: Annotated[ChargeCallInput, strawberry.argument(description="The call.")],
    ) -> ChargeCallPayload:
        viewer = info.context.require_viewer(Scope.CALLS_CHARGE)
        request: Any = input.call
        booked = await billing_resolver.charge_call(info.context, viewer, request, input.policy)
        return ChargeCallPayload(call=Call.of(booked.call), duplicate=booked.duplicate)

    @mutation(
        description="Charge many finished calls, each along its whole path, all or nothing, once per `callId`.",
        scope=Scope.CALLS_CHARGE,
        blocked_viewer=True,
    )
    async def charge_calls(
        self,
        info: Info,
        input: Annotated[ChargeCallsInput, strawberry.argument(description="The calls.")],
    ) -> ChargeCallsPayload:
        viewer = info.context.require_viewer(Scope.CALLS_CHARGE)
        requests: Any = input.calls
        outcomes = await billing_resolver.charge_calls(info.context, viewer, requests, input.policy)
        payload = ChargeCallsPayload()
        for index, outcome in enumerate(outcomes):
            if isinstance(outcome, Refusal):
                payload.refused.append(RefusedCall.of(index, requests[index].call_id, outcome))
                continue
            payload.booked.append(outcome.call)
            payload.duplicates += outcome.duplicate
            if not outcome.duplicate:
                unrated = outcome.call.status == CallStatus.UNRATED
                payload.unrated += unrated
                payload.charged += not unrated
        return payload
