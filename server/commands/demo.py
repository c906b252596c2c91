"""`tollpath demo`: a small tree with rates, credit and calls, to try things on."""

import json
import shlex
from datetime import UTC, datetime
from pathlib import Path
from typing import Annotated
from uuid import uuid4

import typer

from billing.errors import Refusal
from server.commands.common import Opened, Refused, settings_for_command, with_database, write, write_json
from server.demo import Demo, load_demo

_CHARGE_CALL = """mutation ($call: CallInput!) { chargeCall(input: {call: $call}) {
  call { destination billedSeconds charged charges { account { username balance } pricePerMinute amount } }
  duplicate errors { code message } } }"""


def demo(
    as_json: Annotated[bool, typer.Option("--json", help="Answer as JSON.")] = False,
    data_dir: Annotated[Path | None, typer.Option(help="Folder of the embedded PostgreSQL.")] = None,
) -> None:
    """Load the demo: eight accounts on three levels, 30,000 rates, four weeks of calls; print who to sign in as.

    Running it again adds nothing. Base rates that are there already are left alone.
    """
    settings = settings_for_command(data_dir=data_dir)

    async def work(opened: Opened) -> Demo | None:
        return await load_demo(settings, opened.url)

    try:
        loaded = with_database(settings, work)
    except Refusal as refusal:
        raise Refused(f"the demo cannot be loaded: {refusal.message}") from None
    assert loaded is not None
    if as_json:
        write_json(
            {
                "loaded": loaded.loaded,
                "signIns": [
                    {"username": one.username, "password": one.password, "role": one.role} for one in loaded.sign_ins
                ],
                "chargingToken": loaded.charging_token,
            }
        )
    else:
        write(demo_text(loaded, f"http://{settings.host}:{settings.port}"))


def demo_text(loaded: Demo, address: str) -> str:
    """The demo's sign-ins, and a command that charges a call."""
    width = max(len(one.username) for one in loaded.sign_ins)
    people = "\n".join(f"  {one.username:{width}}  {one.password}  ({one.role})" for one in loaded.sign_ins)
    return f"""\
Demo sign-ins (username, password):

{people}

Charge a call of {loaded.caller} (run it twice: the second time it is a duplicate):

{curl(loaded, address)}
"""


def curl(loaded: Demo, address: str) -> str:
    """A command for a shell that charges a call of five minutes."""
    call = {
        "callId": f"try-{uuid4().hex[:12]}",
        "username": loaded.caller,
        "number": "+43 664 1234567",
        "startedAt": datetime.now(UTC).isoformat(timespec="seconds").replace("+00:00", "Z"),
        "durationSeconds": 300,
    }
    body = json.dumps({"query": " ".join(_CHARGE_CALL.split()), "variables": {"call": call}})
    return (
        f"curl -s {shlex.quote(address + '/graphql')} -H 'Content-Type: application/json' "
        f"-H {shlex.quote('Authorization: Bearer ' + loaded.charging_token)} -d {shlex.quote(body)}"
    )
