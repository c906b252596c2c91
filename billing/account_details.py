"""The details of an account that it may change itself: e-mail, address, telephone numbers, other details."""

from collections.abc import Mapping
from typing import Any

from billing.errors import InvalidInput
from billing.texts import (
    DETAIL_LENGTH_MAX,
    OTHER_DETAILS_LENGTH_MAX,
    TELEPHONE_NUMBERS_MAX,
    check_email_address,
    check_optional_text,
    check_text,
)

# Column by column, where in the input it comes from.
_ADDRESS = {
    "address_line1": ("address", "line1"),
    "address_line2": ("address", "line2"),
    "postal_code": ("address", "postalCode"),
    "city": ("address", "city"),
    "country": ("address", "country"),
}

DETAIL_COLUMNS = ("email_address", *_ADDRESS, "telephone_numbers", "other_details")


def checked_details(details: Mapping[str, Any]) -> dict[str, Any]:
    """The details as they are stored, by column (`DETAIL_COLUMNS`); a column that is absent stays absent.

    Blank text and None clear a detail. Raises: InvalidInput.
    """
    checked: dict[str, Any] = {}
    for column, value in details.items():
        if column == "email_address":
            checked[column] = check_email_address(value)
        elif column in _ADDRESS:
            checked[column] = check_optional_text(value, length_max=DETAIL_LENGTH_MAX, path=_ADDRESS[column])
        elif column == "telephone_numbers":
            checked[column] = _telephone_numbers(value or ())
        elif column == "other_details":
            checked[column] = check_optional_text(value, length_max=OTHER_DETAILS_LENGTH_MAX, path=("otherDetails",))
        else:
            raise KeyError(column)
    return checked


def _telephone_numbers(numbers: Any) -> list[str]:
    path = ("telephoneNumbers",)
    if len(numbers) > TELEPHONE_NUMBERS_MAX:
        raise InvalidInput(f"Give at most {TELEPHONE_NUMBERS_MAX} telephone numbers.", path=path)
    return [
        check_text(number, length_min=1, length_max=DETAIL_LENGTH_MAX, path=(*path, str(index)))
        for index, number in enumerate(numbers)
    ]
