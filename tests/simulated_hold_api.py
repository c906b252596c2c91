"""What the simulation asks of the API about calls that run."""

from datetime import datetime
from typing import Any

from tests.reference_holds import Authorized
from tests.reference_ledger import Call
from tests.simulated_api import CallShown, SimulatedApi

_AUTHORIZATION = "duplicate authorization { heldSeconds maxDurationSeconds heldUntil } errors { account { username } }"
_CALL = "callId status overdrawn charges { amount }"


class SimulatedHoldApi(SimulatedApi):
    """Answers as the reference ledger words them."""

    async def authorize_call(self, by: str, call: Call) -> Authorized:
        """May it start?"""
        input = {
            "callId": call.call_id,
            "username": call.username,
            "number": call.number,
            "at": call.started_at.isoformat(),
        }
        return _authorized(*await self.change(by, "authorizeCall", _AUTHORIZATION, input))

    async def extend_call(self, by: str, call_id: str, sequence: int, talked_s: int | None) -> Authorized:
        """The next slice."""
        input = {"callId": call_id, "sequence": sequence, "talkedSeconds": talked_s}
        return _authorized(*await self.change(by, "extendCall", _AUTHORIZATION, input))

    async def settle_call(self, by: str, call_id: str, duration_s: int, started_at: datetime | None) -> CallShown:
        """The end of a call."""
        input = {
            "callId": call_id,
            "durationSeconds": duration_s,
            "startedAt": started_at and started_at.isoformat(),
        }
        return _ended(*await self.change(by, "settleCall", f"pending duplicate call {{ {_CALL} }}", input))

    async def release_call(self, by: str, call_id: str) -> CallShown:
        """The end of a call that nobody answered."""
        fields = f"pending duplicate call {{ {_CALL} }}"
        return _ended(*await self.change(by, "releaseCall", fields, {"callId": call_id}))

    async def call(self, by: str, call_id: str) -> CallShown:
        """A call in the books."""
        query = f"query ($callId: String!) {{ call(callId: $callId) {{ {_CALL} }} }}"
        return _shown((await self.ask(by, query, {"callId": call_id}))["call"])

    async def holds(self, by: str) -> list[dict[str, Any]]:
        """What is held of the viewer, call by call."""
        query = "{ viewer { holds(first: 100) { nodes { callId held heldSeconds account { username } } } } }"
        holds: list[dict[str, Any]] = (await self.ask(by, query))["viewer"]["holds"]["nodes"]
        return holds


def _authorized(refused: str | None, payload: Any) -> Authorized:
    if refused is not None:
        account = payload["errors"][0]["account"]
        return Authorized(refused, account and account["username"])
    held = payload["authorization"]
    code = "HELD" if held["heldSeconds"] else "ENDED"
    until = datetime.fromisoformat(held["heldUntil"])
    return Authorized(code, None, held["heldSeconds"], held["maxDurationSeconds"], until, payload["duplicate"])


def _ended(refused: str | None, payload: Any) -> CallShown:
    if refused is not None or payload["pending"]:
        return CallShown(refused or "PENDING")
    return _shown(payload["call"])._replace(duplicate=payload["duplicate"])


def _shown(call: Any) -> CallShown:
    return CallShown(call["status"], tuple(charge["amount"] for charge in call["charges"]), call["overdrawn"])
