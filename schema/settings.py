"""`settings`: what a client needs to know of the installation. Open to everybody, also before signing in."""

import strawberry

from schema.info import Info
from schema.sip import Sip


@strawberry.type(description="Settings of the installation that clients need.")
class Settings:
    currency: str = strawberry.field(description="The one currency of all amounts, as its ISO 4217 code.")
    password_length_min: int = strawberry.field(description="How many characters a password has at least.")
    call_duration_max_seconds: int = strawberry.field(description="The longest call that is ever authorized.")
    hold_slice_seconds: int = strawberry.field(description="How many seconds of a call are held at a time.")
    sip: Sip | None = strawberry.field(description="How telephones connect; null where no SIP domain is set.")


@strawberry.type
class SettingsQueries:
    @strawberry.field(description="Settings of the installation, readable without signing in.")
    async def settings(self, info: Info) -> Settings:
        rules = info.context.services.rules
        return Settings(
            currency=rules.currency,
            password_length_min=rules.password_length_min,
            call_duration_max_seconds=rules.call_duration_max_s,
            hold_slice_seconds=rules.hold_slice_s,
            sip=None if rules.sip is None else Sip.of(rules.sip),
        )
