"""What the arguments of a field ask for, as one value of `resolvers`: for its resolver and for compiled reads alike."""

from collections.abc import Callable
from typing import Any, TypeVar

MakeRequest = TypeVar("MakeRequest", bound=Callable[..., Any])

_REQUESTS: dict[tuple[str, str], Callable[..., Any]] = {}


def asks(type_name: str, field_name: str) -> Callable[[MakeRequest], MakeRequest]:
    """Say that a function makes the request of this GraphQL field.

    It takes the field's arguments by their Python names and answers a hashable value. Raises: BadUserInput.
    """

    def register(make_request: MakeRequest) -> MakeRequest:
        _REQUESTS[type_name, field_name] = make_request
        return make_request

    return register


def request_maker(type_name: str, field_name: str) -> Callable[..., Any] | None:
    """The function of a field; None where nothing is known of one."""
    return _REQUESTS.get((type_name, field_name))
