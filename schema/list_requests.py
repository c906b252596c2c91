"""What the arguments of a field ask for, as one value of `resolvers`: for its resolver and for compiled reads alike."""

from collections.abc import Callable
from typing import Any, NamedTuple, TypeVar

MakeRequest = TypeVar("MakeRequest", bound=Callable[..., Any])


class RequestMaker(NamedTuple):
    """How a field's request is made; ``lasting`` where the same arguments ask for the same at any time."""

    make: Callable[..., Any]
    lasting: bool


_REQUESTS: dict[tuple[str, str], RequestMaker] = {}


def asks(type_name: str, field_name: str, *, lasting: bool = True) -> Callable[[MakeRequest], MakeRequest]:
    """Say that a function makes the request of this GraphQL field.

    It takes the field's arguments by their Python names and answers a hashable value, which nobody changes. Raises:
    BadUserInput.
    """

    def register(make_request: MakeRequest) -> MakeRequest:
        _REQUESTS[type_name, field_name] = RequestMaker(make_request, lasting)
        return make_request

    return register


def request_maker(type_name: str, field_name: str) -> RequestMaker | None:
    """How a field's request is made; None where nothing is known of one."""
    return _REQUESTS.get((type_name, field_name))
