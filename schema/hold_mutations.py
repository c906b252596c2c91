"""Calls that run: `authorizeCall`, `extendCall`, `settleCall`, `releaseCall`, and the first and last for many calls."""

import dataclasses
from collections.abc import Sequence
from typing import Annotated, Any

import strawberry

from billing import hold_order
from billing.charge_order import Booked, BookedCall, CallStatus
from billing.errors import Refusal
from resolvers import holds
from resolvers.access import Scope
from resolvers.holds import SettleRequest
from schema.calls import Call
from schema.errors import UserError
from schema.hold import Authorization
from schema.hold_inputs import (
    AuthorizeCallInput,
    AuthorizeCallsInput,
    ExtendCallInput,
    ReleaseCallInput,
    SettleCallInput,
    SettleCallsInput,
)
from schema.info import Info
from schema.mutation import errors_field, mutation
from schema.refused_call import RefusedCall


@strawberry.type(description="Payload of `authorizeCall`.")
class AuthorizeCallPayload:
    authorization: Authorization | None = strawberry.field(default=None, description="How long the call may last.")
    duplicate: bool = strawberry.field(default=False, description="Whether the call was authorised already.")
    errors: list[UserError] = errors_field()


@strawberry.type(description="Payload of `extendCall`.")
class ExtendCallPayload:
    authorization: Authorization | None = strawberry.field(default=None, description="How long the call may last.")
    duplicate: bool = strawberry.field(default=False, description="Whether this extension was granted already.")
    errors: list[UserError] = errors_field()


@strawberry.type(description="Payload of `settleCall`.")
class SettleCallPayload:
    call: Call | None = strawberry.field(default=None, description="The call in the books; null while `pending`.")
    duplicate: bool = strawberry.field(default=False, description="Whether it was in the books already.")
    pending: bool = strawberry.field(
        default=False, description="Whether its authorisation has not arrived yet: it is booked when it does."
    )
    errors: list[UserError] = errors_field()


@strawberry.type(description="Payload of `releaseCall`.")
class ReleaseCallPayload:
    call: Call | None = strawberry.field(
        default=None, description="The call in the books, with nothing charged; null while `pending`."
    )
    duplicate: bool = strawberry.field(default=False, description="Whether it was in the books already.")
    pending: bool = strawberry.field(
        default=False, description="Whether its authorisation has not arrived yet: it is released when it does."
    )
    errors: list[UserError] = errors_field()


@strawberry.type(description="Payload of `authorizeCalls`: each call is held or refused on its own.")
class AuthorizeCallsPayload:
    authorizations: list[Authorization] = strawberry.field(
        default_factory=list, description="The authorised calls, in the sequence of the input, refused ones left out."
    )
    duplicates: int = strawberry.field(default=0, description="How many were authorised already.")
    refused: list[RefusedCall] = strawberry.field(default_factory=list, description="The calls that were refused.")
    errors: list[UserError] = errors_field()


def _calls_of(root: Any) -> list[Call]:
    return [Call.of(row) for row in root.booked]


@strawberry.type(description="Payload of `settleCalls`: each call is charged or refused on its own.")
class SettleCallsPayload:
    settled: int = strawberry.field(default=0, description="How many calls were charged now.")
    duplicates: int = strawberry.field(default=0, description="How many were in the books already.")
    unrated: int = strawberry.field(default=0, description="How many were kept without a rate.")
    pending: int = strawberry.field(default=0, description="How many wait for their authorisation to arrive.")
    refused: list[RefusedCall] = strawberry.field(default_factory=list, description="The calls that were refused.")
    calls: list[Call] = strawberry.field(
        resolver=_calls_of, description="The calls in the books, in the sequence of the input, the others left out."
    )
    errors: list[UserError] = errors_field()
    booked: strawberry.Private[list[BookedCall]] = dataclasses.field(default_factory=list)


@strawberry.type
class HoldMutations:
    # A blocked reseller's calls go on: its switch must be able to extend and to settle them.
    @mutation(
        description="May this call start? Hold a first slice of it on its whole path, all or nothing.",
        scope=Scope.CALLS_CHARGE,
        blocked_viewer=True,
    )
    async def authorize_call(
        self, info: Info, input: Annotated[AuthorizeCallInput, strawberry.argument(description="The call.")]
    ) -> AuthorizeCallPayload:
        viewer = info.context.require_viewer(Scope.CALLS_CHARGE)
        request: Any = input
        (answer,) = await holds.authorize_calls(info.context, viewer, [request])
        if isinstance(answer, Refusal):
            raise answer
        return AuthorizeCallPayload(authorization=Authorization.of(answer), duplicate=answer.duplicate)

    @mutation(
        description="May these calls start? Each is held on its whole path, or refused, on its own.",
        scope=Scope.CALLS_CHARGE,
        blocked_viewer=True,
    )
    async def authorize_calls(
        self, info: Info, input: Annotated[AuthorizeCallsInput, strawberry.argument(description="The calls.")]
    ) -> AuthorizeCallsPayload:
        viewer = info.context.require_viewer(Scope.CALLS_CHARGE)
        requests: Any = input.calls
        answers = await holds.authorize_calls(info.context, viewer, requests)
        payload = AuthorizeCallsPayload()
        for index, answer in enumerate(answers):
            if isinstance(answer, Refusal):
                payload.refused.append(RefusedCall.of(index, input.calls[index].call_id, answer))
            else:
                payload.authorizations.append(Authorization.of(answer))
                payload.duplicates += answer.duplicate
        return payload

    @mutation(
        description="Hold the next slice of a running call, or what is left of the credit.",
        scope=Scope.CALLS_CHARGE,
        blocked_viewer=True,
    )
    async def extend_call(
        self, info: Info, input: Annotated[ExtendCallInput, strawberry.argument(description="The extension.")]
    ) -> ExtendCallPayload:
        viewer = info.context.require_viewer(Scope.CALLS_CHARGE)
        answer = await holds.extend_call(info.context, viewer, input.call_id, input.sequence, input.talked_seconds)
        return ExtendCallPayload(authorization=Authorization.of(answer), duplicate=answer.duplicate)

    @mutation(
        description="Charge the talked time of an authorised call on its whole path, and free its hold.",
        scope=Scope.CALLS_CHARGE,
        blocked_viewer=True,
    )
    async def settle_call(
        self, info: Info, input: Annotated[SettleCallInput, strawberry.argument(description="The call's end.")]
    ) -> SettleCallPayload:
        request: Any = input
        booked = await _settle_one(info, request)
        if booked is None:
            return SettleCallPayload(pending=True)
        return SettleCallPayload(call=Call.of(booked.call), duplicate=booked.duplicate)

    @mutation(
        description="Charge the talked time of many authorised calls, each on its own, and free their holds.",
        scope=Scope.CALLS_CHARGE,
        blocked_viewer=True,
    )
    async def settle_calls(
        self, info: Info, input: Annotated[SettleCallsInput, strawberry.argument(description="The calls' ends.")]
    ) -> SettleCallsPayload:
        viewer = info.context.require_viewer(Scope.CALLS_CHARGE)
        requests: Any = input.calls
        return _settled(await holds.settle_calls(info.context, viewer, requests), requests)

    @mutation(
        description="Free the hold of a call that was never answered; it is booked with nothing charged.",
        scope=Scope.CALLS_CHARGE,
        blocked_viewer=True,
    )
    async def release_call(
        self, info: Info, input: Annotated[ReleaseCallInput, strawberry.argument(description="The call.")]
    ) -> ReleaseCallPayload:
        booked = await _settle_one(info, SettleRequest(input.call_id, 0, None), released=True)
        if booked is None:
            return ReleaseCallPayload(pending=True)
        return ReleaseCallPayload(call=Call.of(booked.call), duplicate=booked.duplicate)


async def _settle_one(info: Info, request: SettleRequest, *, released: bool = False) -> Booked | None:
    """The booked call; None while its authorisation has not arrived. Raises: the `Refusal`."""
    viewer = info.context.require_viewer(Scope.CALLS_CHARGE)
    (answer,) = await holds.settle_calls(info.context, viewer, [request], released=released)
    if isinstance(answer, Refusal):
        raise answer
    return answer if isinstance(answer, Booked) else None


def _settled(
    answers: Sequence[Booked | hold_order.EndPending | Refusal], requests: Sequence[SettleRequest]
) -> SettleCallsPayload:
    payload = SettleCallsPayload()
    for index, answer in enumerate(answers):
        if isinstance(answer, Refusal):
            payload.refused.append(RefusedCall.of(index, requests[index].call_id, answer))
        elif isinstance(answer, Booked):
            payload.booked.append(answer.call)
            unrated = answer.call.status == CallStatus.UNRATED
            payload.duplicates += answer.duplicate
            payload.unrated += unrated and not answer.duplicate
            payload.settled += not unrated and not answer.duplicate
        else:
            payload.pending += 1
    return payload
