"""Usernames: ``name*suffix``, where the suffix is the bare name of the reseller that created the account."""

import re

from billing.errors import InvalidUsername

SEPARATOR = "*"
BARE_NAME_LENGTH_MAX = 64

# ASCII only: "unique, whatever the case" must mean the same on every database, and a phone signs in with this name.
_BARE_NAME = re.compile(r"[A-Za-z0-9._+-]+", re.ASCII)


def bare_name(username: str) -> str:
    """The part before the suffix: ``good`` of ``good*luluka``, and of ``good``."""
    return username.partition(SEPARATOR)[0]


def check_bare_name(typed: str, *, suffix: str | None) -> str:
    """The name as typed. ``suffix`` is what the system will add, None for the operator. Raises: InvalidUsername."""
    if SEPARATOR in typed:
        added = f": the system adds {SEPARATOR}{suffix} by itself" if suffix else ""
        raise InvalidUsername(f"Type the name without {SEPARATOR} and suffix{added}.", path=("username",))
    if not 1 <= len(typed) <= BARE_NAME_LENGTH_MAX:
        raise InvalidUsername(f"A username has 1 to {BARE_NAME_LENGTH_MAX} characters.", path=("username",))
    if _BARE_NAME.fullmatch(typed) is None:
        raise InvalidUsername(
            "A username is made of the letters A to Z, digits, dots, hyphens, underscores and plus signs.",
            path=("username",),
        )
    return typed


def full_username(typed: str, reseller_username: str) -> str:
    """``keytyh`` typed by ``good*luluka`` is ``keytyh*good``. Raises: InvalidUsername."""
    suffix = bare_name(reseller_username)
    return f"{check_bare_name(typed, suffix=suffix)}{SEPARATOR}{suffix}"
