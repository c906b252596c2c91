"""Free text from outside, checked before it reaches the database."""

import re

from billing.errors import InvalidInput

NAME_LENGTH_MAX = 100
REMARK_LENGTH_MAX = 1000
DETAIL_LENGTH_MAX = 200
OTHER_DETAILS_LENGTH_MAX = 4000
EMAIL_LENGTH_MAX = 254
TELEPHONE_NUMBERS_MAX = 20

# One `@` with something on both sides. Only a message sent there tells more.
_EMAIL = re.compile(r"[^@\s]+@[^@\s]+")


def is_storable(text: str) -> bool:
    """Whether PostgreSQL takes the text: no zero character, no half of a surrogate pair."""
    return "\0" not in text and not any("\ud800" <= character <= "\udfff" for character in text)


def check_text(text: str, *, length_max: int, path: tuple[str, ...], length_min: int = 0) -> str:
    """The text as it is. Raises: InvalidInput where it is too short, too long or holds what no text should."""
    if not length_min <= len(text) <= length_max:
        least = f"at least {length_min} and " if length_min else ""
        raise InvalidInput(f"Give {least}at most {length_max} characters.", path=path)
    if not is_storable(text):
        raise InvalidInput("The text has characters that cannot be stored.", path=path)
    return text


def check_optional_text(text: str | None, *, length_max: int, path: tuple[str, ...]) -> str | None:
    """`check_text`, where there is one; text of blanks alone counts as none. Raises: InvalidInput."""
    if text is None or not text.strip():
        return None
    return check_text(text, length_max=length_max, path=path)


def check_name(name: str, *, path: tuple[str, ...] = ("name",)) -> str:
    """The name of a thing, without blanks around it. Raises: InvalidInput."""
    name = name.strip()
    if not (0 < len(name) <= NAME_LENGTH_MAX and name.isprintable()):
        raise InvalidInput(f"A name has 1 to {NAME_LENGTH_MAX} printable characters.", path=path)
    return name


def check_email_address(text: str | None, *, path: tuple[str, ...] = ("emailAddress",)) -> str | None:
    """An e-mail address as far as its form tells; empty counts as none. Raises: InvalidInput."""
    checked = check_optional_text(text, length_max=EMAIL_LENGTH_MAX, path=path)
    if checked is not None and _EMAIL.fullmatch(checked) is None:
        raise InvalidInput(f"{checked[:80]!r} is no e-mail address.", path=path)
    return checked
