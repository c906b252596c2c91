"""The catalogue of refusals: what a caller can mend, each with a stable code.

    Refusal
    ├── who and what    NOT_FOUND  NOT_A_RESELLER  RESELLER_IS_PERMANENT  NOT_ALLOWED  ACCOUNT_BLOCKED
    │                   TREE_TOO_DEEP
    ├── sign-in         INVALID_CREDENTIALS  PASSWORD_TOO_SHORT
    ├── names, text     INVALID_USERNAME  USERNAME_TAKEN  NAME_TAKEN  INVALID_INPUT
    ├── money           INVALID_AMOUNT  INSUFFICIENT_CREDIT  IDEMPOTENCY_CONFLICT
    ├── rates           NO_RATE  INVALID_RATE  RATE_LIST_IN_USE
    ├── offers          INVALID_OFFER  PRICE_TOO_LOW  OFFER_CLOSED
    └── calls           INVALID_NUMBER  INVALID_CALL  CALL_ENDED  LIMIT_REACHED  CALL_FAILED
                        NOTHING_TO_REFUND  MONTH_CLOSED

A refusal raised inside a transaction rolls all of it back. It becomes an entry of a payload's ``errors``; not signed
in, not allowed at all, too costly, and bugs are no refusals: those are top-level errors.
"""

from enum import StrEnum


class ErrorCode(StrEnum):
    """Codes of `Refusal`, in the order of the catalogue. Codes are only ever added."""

    NOT_FOUND = "NOT_FOUND"
    NOT_A_RESELLER = "NOT_A_RESELLER"
    RESELLER_IS_PERMANENT = "RESELLER_IS_PERMANENT"
    NOT_ALLOWED = "NOT_ALLOWED"
    ACCOUNT_BLOCKED = "ACCOUNT_BLOCKED"
    TREE_TOO_DEEP = "TREE_TOO_DEEP"
    INVALID_CREDENTIALS = "INVALID_CREDENTIALS"
    PASSWORD_TOO_SHORT = "PASSWORD_TOO_SHORT"
    INVALID_USERNAME = "INVALID_USERNAME"
    USERNAME_TAKEN = "USERNAME_TAKEN"
    NAME_TAKEN = "NAME_TAKEN"
    INVALID_INPUT = "INVALID_INPUT"
    INVALID_AMOUNT = "INVALID_AMOUNT"
    INSUFFICIENT_CREDIT = "INSUFFICIENT_CREDIT"
    IDEMPOTENCY_CONFLICT = "IDEMPOTENCY_CONFLICT"
    NO_RATE = "NO_RATE"
    INVALID_RATE = "INVALID_RATE"
    RATE_LIST_IN_USE = "RATE_LIST_IN_USE"
    INVALID_NUMBER = "INVALID_NUMBER"
    INVALID_CALL = "INVALID_CALL"
    CALL_ENDED = "CALL_ENDED"
    LIMIT_REACHED = "LIMIT_REACHED"
    CALL_FAILED = "CALL_FAILED"
    NOTHING_TO_REFUND = "NOTHING_TO_REFUND"
    INVALID_OFFER = "INVALID_OFFER"
    PRICE_TOO_LOW = "PRICE_TOO_LOW"
    OFFER_CLOSED = "OFFER_CLOSED"
    MONTH_CLOSED = "MONTH_CLOSED"


class Refusal(Exception):
    """Something the caller can mend. ``path`` names the input field; ``account_id`` the account it concerns.

    ``caller_id`` is whose call in the books it is about: that is told to nobody, and nothing of the call to whoever may
    not see that account.
    """

    code: ErrorCode

    def __init__(
        self,
        message: str,
        *,
        path: tuple[str, ...] = (),
        account_id: int | None = None,
        caller_id: int | None = None,
    ) -> None:
        super().__init__(message)
        self.message = message
        self.path = path
        self.account_id = account_id
        self.caller_id = caller_id


class NotFound(Refusal):
    """There is no such thing, or not for this viewer: the two are never told apart."""

    code = ErrorCode.NOT_FOUND


class NotAReseller(Refusal):
    """The account has no customers of its own and may not get any."""

    code = ErrorCode.NOT_A_RESELLER


class ResellerIsPermanent(Refusal):
    """The reseller mark cannot be undone once set."""

    code = ErrorCode.RESELLER_IS_PERMANENT


class NotAllowed(Refusal):
    """The viewer sees the account but may not do this to it (only its reseller may, or nobody to itself)."""

    code = ErrorCode.NOT_ALLOWED


class AccountBlocked(Refusal):
    """The account, or one above it, is blocked."""

    code = ErrorCode.ACCOUNT_BLOCKED


class TreeTooDeep(Refusal):
    """An account this far below the operator would not fit the index on paths."""

    code = ErrorCode.TREE_TOO_DEEP


class InvalidCredentials(Refusal):
    """No account has this username and password. Which of the two is wrong is not said."""

    code = ErrorCode.INVALID_CREDENTIALS


class PasswordTooShort(Refusal):
    """The manual's message, with the setting's number."""

    code = ErrorCode.PASSWORD_TOO_SHORT

    def __init__(self, minimum: int, *, path: tuple[str, ...] = ("password",)) -> None:
        super().__init__(f"Password is too short; password should at least contain {minimum} characters.", path=path)


class InvalidUsername(Refusal):
    """The typed name cannot be a bare name: the suffix is added by the system."""

    code = ErrorCode.INVALID_USERNAME


class UsernameTaken(Refusal):
    """The manual's message."""

    code = ErrorCode.USERNAME_TAKEN

    def __init__(self) -> None:
        super().__init__("User already exists, no update.", path=("username",))


class NameTaken(Refusal):
    """Another rate list or offer of the same owner has this name."""

    code = ErrorCode.NAME_TAKEN


class InvalidInput(Refusal):
    """A text that is too long, empty, or of the wrong form."""

    code = ErrorCode.INVALID_INPUT


class InvalidAmount(Refusal):
    """An amount that cannot be booked: zero, or beyond what a balance holds."""

    code = ErrorCode.INVALID_AMOUNT


class InsufficientCredit(Refusal):
    """``account_id`` cannot pay. Nothing was charged to anybody."""

    code = ErrorCode.INSUFFICIENT_CREDIT


class IdempotencyConflict(Refusal):
    """The same key (or ``callId``) was used before with other content."""

    code = ErrorCode.IDEMPOTENCY_CONFLICT


class NoRate(Refusal):
    """``account_id`` has no usable rate for the number: none matches, or the destination is blocked."""

    code = ErrorCode.NO_RATE


class InvalidRate(Refusal):
    """A rate with a prefix, increment or price that cannot be."""

    code = ErrorCode.INVALID_RATE


class RateListInUse(Refusal):
    """The list is selected by accounts and cannot be deleted."""

    code = ErrorCode.RATE_LIST_IN_USE


class InvalidOffer(Refusal):
    """Terms of an offer that cannot be: a price, amount or currency that is none."""

    code = ErrorCode.INVALID_OFFER


class PriceTooLow(Refusal):
    """The offer would sell credit below the lowest price that somebody above allows for selling it on."""

    code = ErrorCode.PRICE_TOO_LOW


class OfferClosed(Refusal):
    """Nothing more can be bought under this offer."""

    code = ErrorCode.OFFER_CLOSED


class InvalidNumber(Refusal):
    """A dialled number that is no E.164 number."""

    code = ErrorCode.INVALID_NUMBER

    def __init__(self, text: str) -> None:
        super().__init__(
            f"{text[:40]!r} is no telephone number: give 1 to 15 digits with the country code, such as +43664123456.",
            path=("number",),
        )


class InvalidCall(Refusal):
    """A call whose identity, start or duration cannot be."""

    code = ErrorCode.INVALID_CALL


class CallEnded(Refusal):
    """The call is in the books already: nothing more can be held for it."""

    code = ErrorCode.CALL_ENDED

    def __init__(self, caller_id: int) -> None:
        super().__init__("This call has ended and is in the books.", path=("callId",), caller_id=caller_id)


class LimitReached(Refusal):
    """A limit that ``account_id``, or the installation, has set for calls does not allow this one."""

    code = ErrorCode.LIMIT_REACHED


class CallFailed(Refusal):
    """The call could not be booked because of a fault of ours. This order has charged nothing; it may be sent again."""

    code = ErrorCode.CALL_FAILED

    def __init__(self, call_id: str) -> None:
        super().__init__(f"Call {call_id} could not be booked, so this has charged nothing: send it again.")


class NothingToRefund(Refusal):
    """Nobody was charged for the call: it has no rate, was never answered, or cost nothing."""

    code = ErrorCode.NOTHING_TO_REFUND


class MonthClosed(Refusal):
    """The call is in the books, in a month that is closed: nothing about it changes, and its details are gone."""

    code = ErrorCode.MONTH_CLOSED
