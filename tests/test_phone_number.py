"""A dialled number is its E.164 digits."""

import pytest

from billing.errors import InvalidNumber
from billing.phone_number import parse_number


@pytest.mark.parametrize(
    ("text", "digits"),
    [
        ("43664123456", "43664123456"),
        ("+43664123456", "43664123456"),
        ("0043664123456", "43664123456"),
        ("+43 (664) 123-456", "43664123456"),
        ("00 43/664.123.456", "43664123456"),
        ("1", "1"),
        ("123456789012345", "123456789012345"),
    ],
)
def test_a_leading_plus_or_00_and_separators_are_stripped(text: str, digits: str) -> None:
    assert parse_number(text) == digits


@pytest.mark.parametrize(
    "text",
    [
        "",
        "+",
        "00",
        " ",
        "1234567890123456",
        "*1003",
        "#31#43664",
        "5.41144E+11",
        "43+664",
        "+43 (0) 664 123456",
        "+43(0)664123456",
        "++43",
        "sip:43664",
        "٤٣",
        "43\n",
        "43;1",
    ],
)
def test_anything_else_is_no_number(text: str) -> None:
    with pytest.raises(InvalidNumber, match="is no telephone number"):
        parse_number(text)
