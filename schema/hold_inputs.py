"""What a switch says of calls that run. Calls reach the resolvers as requests, whatever type they have here."""

from collections.abc import Mapping
from datetime import datetime
from typing import Any

import strawberry

from resolvers.holds import AuthorizeRequest, SettleRequest
from schema.call_texts import CALL_ID, CALLER_NUMBER, STARTED_WITHIN, TALKED_SECONDS
from schema.refused_call import account_number


@strawberry.input(description="A call that wants to start.")
class AuthorizeCallInput:
    call_id: str = strawberry.field(description=CALL_ID)
    account_id: strawberry.ID | None = strawberry.field(
        default=None, description="Whose call it is. Give this or `username`."
    )
    username: str | None = strawberry.field(
        default=None, description="Whose call it is, by full username. Give this or `accountId`."
    )
    number: str = strawberry.field(
        description="The number to call: E.164 digits; a leading `+` or `00` and separators are stripped."
    )
    caller_number: str | None = strawberry.field(default=None, description=CALLER_NUMBER)
    at: datetime | None = strawberry.field(
        default=None, description=f"The start of the call; now when left out. {STARTED_WITHIN}"
    )


@strawberry.input(description="Input of `authorizeCalls`.")
class AuthorizeCallsInput:
    calls: list[AuthorizeCallInput] = strawberry.field(description="At most 1,000 calls, held in this sequence.")


@strawberry.input(description="The next slice of a running call.")
class ExtendCallInput:
    call_id: str = strawberry.field(description=CALL_ID)
    sequence: int = strawberry.field(
        description="Counts the extensions of the call from 1; the same one again changes nothing."
    )
    talked_seconds: int | None = strawberry.field(
        default=None, description="How long the call has lasted: the slice begins no earlier than there."
    )


@strawberry.input(description="A call that has ended.")
class SettleCallInput:
    call_id: str = strawberry.field(description=CALL_ID)
    duration_seconds: int = strawberry.field(description=TALKED_SECONDS)
    started_at: datetime | None = strawberry.field(
        default=None, description=f"When the call began; when left out, when it was authorised. {STARTED_WITHIN}"
    )


@strawberry.input(description="Input of `settleCalls`.")
class SettleCallsInput:
    calls: list[SettleCallInput] = strawberry.field(description="At most 1,000 calls, settled in this sequence.")


def _authorize_request(value: Mapping[str, Any]) -> AuthorizeRequest:
    """A coerced `AuthorizeCallInput` as the resolver takes it."""
    return AuthorizeRequest(
        value["callId"],
        account_number(value.get("accountId")),
        value.get("username"),
        value["number"],
        value.get("callerNumber"),
        value.get("at"),
    )


def _settle_request(value: Mapping[str, Any]) -> SettleRequest:
    """A coerced `SettleCallInput` as the resolver takes it."""
    return SettleRequest(value["callId"], value["durationSeconds"], value.get("startedAt"))


# Strawberry would make an object of each call by a walk through its fields, and a thousand come in one request.
AuthorizeCallInput.__strawberry_definition__.from_input = (  # type: ignore[attr-defined]
    lambda type_, value, _context: _authorize_request(value)
)
AuthorizeCallsInput.__strawberry_definition__.from_input = (  # type: ignore[attr-defined]
    lambda type_, value, _context: type_(calls=[*map(_authorize_request, value["calls"])])
)
SettleCallInput.__strawberry_definition__.from_input = (  # type: ignore[attr-defined]
    lambda type_, value, _context: _settle_request(value)
)
SettleCallsInput.__strawberry_definition__.from_input = (  # type: ignore[attr-defined]
    lambda type_, value, _context: type_(calls=[*map(_settle_request, value["calls"])])
)


@strawberry.input(description="A call that was authorised and never answered.")
class ReleaseCallInput:
    call_id: str = strawberry.field(description=CALL_ID)
