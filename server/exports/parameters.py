"""The parameters of an export, out of a query string: a name or a value that means nothing is refused, never ignored.

A filter that is misspelt and ignored would export more than was asked for.
"""

from collections.abc import Callable
from datetime import date, datetime
from enum import StrEnum
from typing import TypeVar
from urllib.parse import parse_qsl

from billing.texts import is_storable
from resolvers.request_errors import BadUserInput
from schema.scalars import parse_day, parse_instant

Value = TypeVar("Value")
Choice = TypeVar("Choice", bound=StrEnum)


class Parameters:
    """Each parameter is taken by its name; `refuse_others` comes last. Every method raises BadUserInput."""

    def __init__(self, query_string: bytes) -> None:
        # Whatever is no UTF-8 becomes a character that no value has.
        pairs = parse_qsl(query_string.decode("latin-1"), keep_blank_values=True)
        self._left = dict(pairs)
        self._known: list[str] = []
        if len(self._left) < len(pairs):
            raise BadUserInput("Give each parameter once.")

    def text(self, name: str) -> str | None:
        """The text as it is."""
        return self._taken(name, _storable)

    def instant(self, name: str) -> datetime | None:
        """A time with its zone."""
        return self._taken(name, parse_instant)

    def day(self, name: str) -> date | None:
        """A UTC day."""
        return self._taken(name, parse_day)

    def flag(self, name: str) -> bool | None:
        """``true`` or ``false``."""
        return self._taken(name, _flag)

    def choice(self, name: str, default: Choice) -> Choice:
        """One of the names of the default's enum."""
        return self.choice_of(name, type(default)) or default

    def choice_of(self, name: str, kind: type[Choice]) -> Choice | None:
        """One of the names of an enum, if any is given."""

        def parse(text: str) -> Choice:
            if text not in kind.__members__:
                raise ValueError(f"It must be {' or '.join(kind.__members__)}")
            return kind(text)

        return self._taken(name, parse)

    def refuse_others(self) -> None:
        """Refuse what nobody has taken."""
        for name in self._left:
            raise BadUserInput(f"There is no parameter {name[:40]!r} here; there are {', '.join(self._known)}.")

    def _taken(self, name: str, parse: Callable[[str], Value]) -> Value | None:
        self._known.append(name)
        text = self._left.pop(name, None)
        try:
            return None if text is None else parse(text)
        except ValueError as error:
            raise BadUserInput(f"`{name}`: {error}.") from None


def _storable(text: str) -> str:
    if not is_storable(text):
        raise ValueError("It has characters that nothing here has")
    return text


def _flag(text: str) -> bool:
    if text not in ("true", "false"):
        raise ValueError("It must be true or false")
    return text == "true"
