"""Every setting of the installation, read from the environment: this file is where they are documented.

`tollpath settings` prints them; the table in the README is made from the descriptions below.
"""

import difflib
import ipaddress
import os
import re
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Any, Literal

from pydantic import AfterValidator, Field, SecretStr, ValidationError
from pydantic.fields import FieldInfo
from pydantic_settings import BaseSettings, SettingsConfigDict
from sqlalchemy.exc import ArgumentError

from billing.passwords import Passwords
from models.database import database_url
from resolvers.context import Rules, SipRules

PREFIX = "TOLLPATH_"
# Names for the test suite's own switches; they are never settings.
TEST_PREFIX = "TOLLPATH_TEST_"
# The one setting without the prefix: it is the name by which hosting services give a database.
DATABASE_URL = "DATABASE_URL"
_URL_EXAMPLE = "postgresql://user:password@host:5432/name"
# Their values never appear in a message.
_SECRET = frozenset({DATABASE_URL, "TOLLPATH_OPERATOR_PASSWORD"})


class SettingsError(Exception):
    """A setting is wrong; the text is one line that names the variable and says what is expected."""


def _postgresql_url(text: str) -> str:
    """The URL as it is. No message shows a part of it: what looks like a host may be the end of a password."""
    if text.partition("?")[0].count("@") > 1:
        raise ValueError("a @ in its user name or password is to be written as %40")
    bad_port = ValueError("its port should be a whole number from 1 to 65535")
    try:
        url = database_url(text)
    except ArgumentError:
        raise ValueError(f"give a URL such as {_URL_EXAMPLE}") from None
    except ValueError:
        raise bad_port from None
    if url.drivername != "postgresql+asyncpg":
        raise ValueError("it must start with postgresql://")
    unknown = sorted(set(url.query) - {"host", "port", "ssl"})
    if unknown:
        raise ValueError(f"it has a parameter {unknown[0]!r}; host, port and sslmode are known")
    if not url.database:
        raise ValueError("it names no database: end it with /name")
    # A number beyond that would reach another port: only its last sixteen bits are taken.
    ports = [] if url.port is None else [str(url.port)]
    for given in url.normalized_query.get("port", ()):
        ports += given.split(",")
    if not all(re.fullmatch("[0-9]{1,5}", port) and 1 <= int(port) <= 65535 for port in ports):
        raise bad_port
    return text


def _proxies(text: str) -> str:
    """The text as it is. uvicorn takes anything, and what is no address it silently never believes."""
    for part in text.split(","):
        proxy = part.strip()
        try:
            # Of a network too: 10.0.0.1/8 is the address of somebody in it.
            ipaddress.ip_network(proxy) if "/" in proxy else ipaddress.ip_address(proxy)
        except ValueError:
            raise ValueError(
                f"{proxy!r} is no address or network, such as 10.0.0.1 or 10.0.0.0/8; commas separate several"
            ) from None
    return text


def _currency(text: str) -> str:
    if not re.fullmatch("[A-Z]{3}", text):
        raise ValueError("it should be three capital letters, such as EUR")
    return text


def _origins(text: str) -> str:
    for origin in text.split():
        if not re.fullmatch(r"https?://[^/\s]+", origin):
            raise ValueError("each should be a scheme and a host, such as https://shop.example")
    return text


def _sip_domain(text: str) -> str:
    if not re.fullmatch(r"[A-Za-z0-9]([A-Za-z0-9.\-]*[A-Za-z0-9])?|\[[0-9A-Fa-f:.]+\]", text):
        raise ValueError("it should be a host name or an address, such as sip.example.com")
    return text


def _softphones(text: str) -> str:
    for softphone in text.split(","):
        if text and not re.fullmatch(r"\s*\S.*\shttps?://[^\s,]+\s*", softphone):
            raise ValueError("each should be a name and an address, such as Linphone https://www.linphone.org")
    return text


class Settings(BaseSettings):
    """The settings, checked. Times are whole seconds. Construct it with `load_settings`."""

    model_config = SettingsConfigDict(
        env_prefix=PREFIX, env_ignore_empty=True, frozen=True, extra="forbid", populate_by_name=True
    )

    database_url: Annotated[str, AfterValidator(_postgresql_url)] | None = Field(
        None,
        validation_alias=DATABASE_URL,
        description=f"PostgreSQL 15 to 18 to use, as {_URL_EXAMPLE}. Without it an embedded PostgreSQL is started.",
    )
    data_dir: Path = Field(Path(".tollpath"), description="Folder of the embedded PostgreSQL.")
    pg_bin: Path | None = Field(
        None,
        description="Folder of other PostgreSQL binaries (15 to 18) for the embedded server; "
        "without it those that came with the installation.",
    )
    host: str = Field("127.0.0.1", description="Address to listen on; 0.0.0.0 for every IPv4 address.")
    port: int = Field(8000, ge=0, le=65535, description="Port to listen on; 0 for any free one.")
    workers: int = Field(
        1, ge=1, le=64, description="Server processes on the one port; each takes up to 25 connections to the database."
    )
    operator_username: str = Field("operator", description="Username of the operator that the first start makes.")
    operator_password: SecretStr | None = Field(
        None,
        description="Password of the operator that the first start makes; "
        "without it a random one is made and printed once.",
    )
    password_length_min: int = Field(4, ge=1, le=1000, description="Characters a password has at least.")
    password_hash_memory_kib: int = Field(
        64 * 1024, ge=8, le=1024 * 1024, description="Memory that each password hash takes (Argon2id), in KiB."
    )
    password_hash_rounds: int = Field(3, ge=1, le=100, description="Passes of each password hash over its memory.")
    wrong_passwords_max: int = Field(
        10,
        ge=1,
        le=1_000_000,
        description="Wrong passwords for one account within a minute, after which signing in to it is refused "
        "(THROTTLED). Each server process counts for itself.",
    )
    address_wrong_passwords_max: int = Field(
        100,
        ge=1,
        le=1_000_000,
        description="The same for all that comes from one address, or from one /64 network of IPv6.",
    )
    trusted_proxies: Annotated[str, AfterValidator(_proxies)] = Field(
        "127.0.0.1",
        description="Addresses or networks of proxies whose X-Forwarded-For is believed, separated by commas.",
    )
    session_ttl_s: int = Field(30 * 86_400, ge=60, le=10 * 366 * 86_400, description="Life of a sign-in, in seconds.")
    currency: Annotated[str, AfterValidator(_currency)] = Field(
        "EUR", description="Currency of every amount (ISO 4217)."
    )
    call_duration_max_s: int = Field(
        4 * 3600, ge=60, le=86_400, description="Longest call that is authorized, in seconds."
    )
    hold_slice_s: int = Field(
        60, ge=1, le=86_400, description="Talking time that is held in advance on each account of the path, in seconds."
    )
    webhook_private_addresses: bool = Field(
        default=False,
        description="Whether webhooks may be posted to addresses that are not public, such as 10.0.0.1 or localhost.",
    )
    hold_ttl_s: int | None = Field(
        None,
        ge=1,
        le=7 * 86_400,
        description="Seconds after which a hold expires by itself; without it twice the slice, never less than one.",
    )
    request_bytes_max: int = Field(
        10_000_000,
        ge=10_000,
        le=1_000_000_000,
        description="Largest request that is read, in bytes; a thousand calls are about 200,000.",
    )
    query_cost_max: int = Field(
        25_000, ge=1, le=10_000_000, description="Highest cost of a query that is executed, in nodes it may ask for."
    )
    allowed_origins: Annotated[str, AfterValidator(_origins)] = Field(
        "",
        description="Origins of pages on other hosts that may use the API from a browser, "
        "such as https://shop.example, separated by spaces.",
    )
    sip_domain: Annotated[str, AfterValidator(_sip_domain)] | None = Field(
        None, description="SIP domain that telephones register with; without it none is shown."
    )
    sip_port: int = Field(5060, ge=1, le=65535, description="Port of the SIP domain.")
    sip_transport: Literal["UDP", "TCP", "TLS"] = Field("UDP", description="What SIP is spoken over.")
    sip_codecs: str = Field(
        "opus PCMA PCMU", description="Codecs that telephones may use, the preferred one first, separated by spaces."
    )
    sip_softphones: Annotated[str, AfterValidator(_softphones)] = Field(
        "",
        description="Programs to telephone with, each a name and an address, "
        "such as Linphone https://www.linphone.org, separated by commas.",
    )
    log_level: Literal["debug", "info", "warning", "error"] = Field("info", description="Least level that is logged.")
    log_format: Literal["text", "json"] = Field(
        "text", description="Log lines for people (text) or for machines (json, one object a line)."
    )

    def passwords(self) -> Passwords:
        """Password hashing at the cost that the settings name."""
        return Passwords(rounds=self.password_hash_rounds, memory_kib=self.password_hash_memory_kib)

    def rules(self) -> Rules:
        """The part that resolvers and rules need."""
        return Rules(
            currency=self.currency,
            password_length_min=self.password_length_min,
            session_ttl_s=self.session_ttl_s,
            call_duration_max_s=self.call_duration_max_s,
            hold_slice_s=self.hold_slice_s,
            # A hold that ended before its slice would free what the call is still talking on.
            hold_ttl_s=max(self.hold_ttl_s or 2 * self.hold_slice_s, self.hold_slice_s),
            query_cost_max=self.query_cost_max,
            sip=self._sip(),
        )

    def _sip(self) -> SipRules | None:
        if self.sip_domain is None:
            return None
        softphones = [part.strip().rsplit(maxsplit=1) for part in self.sip_softphones.split(",") if part.strip()]
        return SipRules(
            domain=self.sip_domain,
            port=self.sip_port,
            transport=self.sip_transport,
            codecs=tuple(self.sip_codecs.split()),
            softphones=tuple((name, url) for name, url in softphones),
        )


@dataclass(frozen=True)
class Documented:
    """One setting as the README shows it."""

    variable: str
    default: str
    description: str


def documented_settings() -> list[Documented]:
    """Every setting, in the order of this file."""
    return [
        Documented(_variable(name, field), _shown(field.default), field.description or "")
        for name, field in Settings.model_fields.items()
    ]


def load_settings(**overrides: Any) -> Settings:
    """The settings of the process's environment; ``overrides`` (from the command line) win, None means not given.

    Raises: SettingsError naming every variable that is unknown or wrong.
    """
    _refuse_unknown_variables()
    if os.environ.get(DATABASE_URL) == "":
        # An empty variable counts as not set, but of this one that would be another database than the one meant.
        raise SettingsError(
            f"{DATABASE_URL} is set but empty: give a URL such as {_URL_EXAMPLE}, "
            "or unset it to use the embedded PostgreSQL"
        )
    try:
        settings = Settings(**{name: value for name, value in overrides.items() if value is not None})
    except ValidationError as error:
        raise SettingsError("; ".join(_complaint(item, overrides) for item in error.errors())) from None
    if settings.database_url is not None and overrides.get("data_dir") is not None:
        raise SettingsError(
            f"--data-dir names an embedded PostgreSQL and {DATABASE_URL} another database: give one of them"
        )
    return settings


def _refuse_unknown_variables() -> None:
    known = [setting.variable for setting in documented_settings()]
    for name in sorted(os.environ):
        if name.startswith(PREFIX) and not name.startswith(TEST_PREFIX) and name not in known:
            # Without what they all share, which would make every name look near.
            by_suffix = {variable.removeprefix(PREFIX): variable for variable in known}
            near = difflib.get_close_matches(name.removeprefix(PREFIX), by_suffix, 1)
            hint = f": did you mean {by_suffix[near[0]]}?" if near else "; `tollpath settings` lists them"
            raise SettingsError(f"there is no setting {name}{hint}")


def _complaint(item: Any, overrides: Mapping[str, Any]) -> str:
    name = str(item["loc"][0])
    field = Settings.model_fields.get(name)
    variable = _variable(name, field) if field else name
    if overrides.get(name) is not None:
        variable = "--" + name.replace("_", "-")
    given = "" if variable in _SECRET else f"={item['input']}"
    reason = item["msg"].removeprefix("Value error, ").replace("Input should", "it should")
    return f"{variable}{given} is not valid: {reason}"


def _variable(name: str, field: FieldInfo) -> str:
    return str(field.validation_alias or PREFIX + name.upper())


def _shown(default: object) -> str:
    return "" if default is None else str(default)
