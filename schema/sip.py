"""How to connect a telephone: of the installation, and of one account."""

import strawberry

from resolvers.context import SipRules
from schema.account_row import HasAccountRow
from schema.info import Info


@strawberry.type(description="A program that makes a computer or a mobile a telephone.")
class Softphone:
    name: str = strawberry.field(description="What it is called.")
    url: str = strawberry.field(description="Where it is to be had.")


@strawberry.type
class SipConnection:
    domain: str = strawberry.field(description="The SIP domain to register with.")
    port: int = strawberry.field(description="Its port.")
    transport: str = strawberry.field(description="What it is spoken over: UDP, TCP or TLS.")
    codecs: list[str] = strawberry.field(description="The codecs it takes, the preferred one first.")


@strawberry.type(description="How the installation's telephones connect.")
class Sip(SipConnection):
    softphones: list[Softphone] = strawberry.field(description="Programs to telephone with.")

    @classmethod
    def of(cls, rules: SipRules) -> "Sip":
        return cls(
            domain=rules.domain,
            port=rules.port,
            transport=rules.transport,
            codecs=list(rules.codecs),
            softphones=[Softphone(name=name, url=url) for name, url in rules.softphones],
        )


@strawberry.type(description="How a telephone of one account connects.")
class AccountSip(SipConnection):
    username: str = strawberry.field(description="The user name to register with.")


@strawberry.type
class AccountTelephone(HasAccountRow):
    @strawberry.field(
        description="How to connect a telephone to it; null where the installation has set no SIP domain."
    )
    def sip(self, info: Info) -> AccountSip | None:
        rules = info.context.services.rules.sip
        if rules is None:
            return None
        return AccountSip(
            username=self.row.username,
            domain=rules.domain,
            port=rules.port,
            transport=rules.transport,
            codecs=list(rules.codecs),
        )
