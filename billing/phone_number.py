"""Telephone numbers as rating needs them: E.164 digits."""

import re
from collections.abc import Sequence

from billing.errors import InvalidNumber

NUMBER_DIGITS_MAX = 15

_SEPARATORS = re.compile(r"[ \-./()]+")
_DIGITS = re.compile(r"[0-9]{1,15}", re.ASCII)


def parse_number(text: str) -> str:
    """The digits of a dialled number: a leading ``+`` or ``00`` and separators (blank ``- . / ( )``) are stripped.

    Raises:
        InvalidNumber: anything else is in it, or it has no digit or more than 15 (ITU-T E.164); or a trunk zero in
            parentheses, ``+43 (0) 664 ...``, which is no digit of the number.
    """
    if are_plain_digits((text,)):
        return text
    if "(0)" in text.replace(" ", ""):
        raise InvalidNumber(text)
    digits = _SEPARATORS.sub("", text)
    if digits.startswith("+"):
        digits = digits[1:]
    elif digits.startswith("00"):
        digits = digits[2:]
    if not _DIGITS.fullmatch(digits):
        raise InvalidNumber(text)
    return digits


def are_plain_digits(texts: Sequence[str]) -> bool:
    """Whether each of these, at least one, is what `parse_number` makes of it."""
    digits = "".join(texts)
    return (
        digits.isascii()
        and digits.isdigit()
        and all(texts)
        and max(map(len, texts)) <= NUMBER_DIGITS_MAX
        and "00" not in {text[:2] for text in texts}
    )
