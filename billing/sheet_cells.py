"""The cells of a rate sheet's row as values. Nothing is guessed: what is not plainly a value is refused. Pure."""

import re
from datetime import UTC, date, datetime

from billing.money import NumberError, parse_rate
from billing.rate_changes import DESTINATION_CHARS_MAX, INCREMENT_S_MAX
from billing.rating import PREFIX_DIGITS_MAX

_EXPONENT = re.compile(r"[0-9]+([.,][0-9]+)?E\+?[0-9]+", re.ASCII | re.IGNORECASE)
_SEVERAL = re.compile(r"[0-9]+(\s*[,;/|&-]\s*[0-9]+)+", re.ASCII)
_DECIMAL_COMMA = re.compile(r"[0-9]*,[0-9]+", re.ASCII)
_INCREMENTS = re.compile(r"([0-9]{1,5})(?:\s*[/+-]\s*([0-9]{1,5}))?", re.ASCII)
_ZONED = re.compile(r"[0-9]{4}-[0-9]{2}-[0-9]{2}[T ][0-9]{2}:[0-9]{2}(:[0-9]{2})?(Z|[+-][0-9]{2}:[0-9]{2})", re.ASCII)
_DAY = re.compile(r"[0-9]{4}-[0-9]{2}-[0-9]{2}", re.ASCII)

_BLOCKED_WORDS = frozenset({"blocked", "barred"})
_YES = frozenset({"yes", "y", "true", "1", "blocked", "barred"})
_NO = frozenset({"", "no", "n", "false", "0"})
# Names of a time of day under which a sheet gives its only price. Others are prices for some hours.
_ALL_DAY = frozenset(
    {"", "peak", "all", "all day", "allday", "any", "anytime", "any time", "all times", "always", "flat", "default"}
    | {"standard", "24h", "24/7", "24x7", "n/a"}
)


class CellError(ValueError):
    """Why a row is not imported, as a sentence for a person."""


def read_prefix(cell: str) -> str:
    """Digits; a leading ``+`` or ``00`` is stripped, as from a dialled number. Raises: CellError."""
    text = cell.strip()
    if not text:
        raise CellError("there is no prefix")
    if _EXPONENT.fullmatch(text):
        raise CellError(f"a spreadsheet has shortened the prefix to {text}: its digits are lost")
    if _SEVERAL.fullmatch(text):
        raise CellError(f"{text[:60]!r} is more than one prefix: each needs a line of its own")
    digits = text[1:] if text.startswith("+") else text[2:] if text.startswith("00") else text
    if not (digits.isascii() and digits.isdigit()):
        raise CellError(f"{text[:60]!r} is no telephone prefix: only digits are")
    if len(digits) > PREFIX_DIGITS_MAX:
        raise CellError(f"the prefix {text[:60]} has more than {PREFIX_DIGITS_MAX} digits")
    return digits


def read_price(cell: str) -> int | None:
    """A price or fee in whole units of 0.00000001; None where the cell says that the destination is blocked.

    Raises: CellError.
    """
    text = cell.strip()
    if not text:
        raise CellError("there is no price")
    if text.lower() in _BLOCKED_WORDS:
        return None
    if _DECIMAL_COMMA.fullmatch(text):
        raise CellError(f"{text!r} has a comma: write a decimal point, and no thousands separator")
    try:
        return parse_rate(f"0{text}" if text.startswith(".") else text)
    except NumberError as error:
        raise CellError(str(error)) from None


def read_destination(cell: str) -> str | None:
    """The name with single blanks, None where there is none. Raises: CellError."""
    name = " ".join(cell.split())
    if len(name) > DESTINATION_CHARS_MAX or not name.isprintable():
        raise CellError(f"the destination's name is not 1 to {DESTINATION_CHARS_MAX} printable characters")
    return name or None


def read_seconds(cell: str) -> int:
    """One increment. Raises: CellError."""
    text = cell.strip()
    if not (text.isascii() and text.isdigit() and len(text) <= 5 and 1 <= int(text) <= INCREMENT_S_MAX):
        raise CellError(f"{text[:60]!r} is no increment: 1 to {INCREMENT_S_MAX} whole seconds are")
    return int(text)


def read_increments(cell: str) -> tuple[int, int]:
    """``60/60``, ``30/6``, or ``60`` alone for both. Raises: CellError."""
    match = _INCREMENTS.fullmatch(cell.strip())
    if match is None:
        raise CellError(f"{cell.strip()[:60]!r} are no increments: such as 60/60 or 30/6 are")
    return read_seconds(match[1]), read_seconds(match[2] or match[1])


def read_effective_from(cell: str) -> datetime | None:
    """An ISO 8601 day (its first instant in UTC) or time with its zone; None where empty. Raises: CellError."""
    text = cell.strip()
    if not text:
        return None
    try:
        if _DAY.fullmatch(text):
            day = date.fromisoformat(text)
            return datetime(day.year, day.month, day.day, tzinfo=UTC)
        if _ZONED.fullmatch(text):
            return datetime.fromisoformat(text).astimezone(UTC)
    except (ValueError, OverflowError):
        raise CellError(f"there is no such day as {text}") from None
    raise CellError(f"{text[:60]!r} is no date like 2026-01-31, nor a time like 2026-01-31T12:00:00Z")


def read_blocked(cell: str) -> bool:
    """A column of its own that says yes or no. Raises: CellError."""
    text = cell.strip().lower()
    if text in _YES:
        return True
    if text in _NO:
        return False
    raise CellError(f"{cell.strip()[:60]!r} says neither that the destination is blocked nor that it is not")


def holds_all_day(cell: str) -> bool:
    """Whether a time of day means all hours; else the row's price is for some hours only."""
    return " ".join(cell.lower().split()) in _ALL_DAY
