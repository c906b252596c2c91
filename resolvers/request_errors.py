"""Errors of a whole request field: they leave as top-level GraphQL errors, with a stable code.

    RequestError
    ├── Unauthenticated   UNAUTHENTICATED   no token, or one that is unknown, expired or revoked
    ├── Forbidden         FORBIDDEN         the token's scopes do not reach this far
    ├── Throttled         THROTTLED         too often in too short a time
    ├── BadUserInput      BAD_USER_INPUT    an argument that no caller could have meant: a cursor that is none of ours
    ├── NoSuchThing       NOT_FOUND         what the request is about; only where that is the whole answer (an export)
    └── TooManyAtOnce     THROTTLED         as many of the kind as may run at once are running

What a person can mend in a form is no request error but a `billing.errors.Refusal`.
"""

from typing import ClassVar


class RequestError(Exception):
    """``code`` becomes ``extensions.code``; the message is for the caller."""

    code: ClassVar[str]


class Unauthenticated(RequestError):
    """The field is for signed-in viewers."""

    code = "UNAUTHENTICATED"

    def __init__(self) -> None:
        super().__init__("Sign in first: send the token of `login` as `Authorization: Bearer TOKEN`.")


class Forbidden(RequestError):
    """The viewer is known, but its token does not carry the scope."""

    code = "FORBIDDEN"


class Throttled(RequestError):
    """Too often, of whatever ``what`` says; ``retry_after_s`` whole seconds from now it may be tried again."""

    code = "THROTTLED"

    def __init__(self, what: str, retry_after_s: int) -> None:
        super().__init__(f"{what}: try again in {retry_after_s} s.")
        self.retry_after_s = retry_after_s


class BadUserInput(RequestError):
    """An argument that cannot be read."""

    code = "BAD_USER_INPUT"


class NoSuchThing(RequestError):
    """There is no such thing, or not for this viewer: the two are never told apart."""

    code = "NOT_FOUND"


class TooManyAtOnce(RequestError):
    """Ask again later."""

    code = "THROTTLED"
