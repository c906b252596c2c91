"""Telephone numbers as rating needs them: E.164 digits."""

import re

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
    if text.isascii() and text.isdigit() and len(text) <= NUMBER_DIGITS_MAX and not text.startswith("00"):
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
