"""Global ids: opaque text that names a kind of object and one of them, unique over the whole API."""

import base64
import binascii
from collections.abc import Awaitable, Callable
from typing import Annotated

import strawberry

from resolvers.context import RequestContext
from schema.info import Info


@strawberry.interface(description="An object with a global id, which `node` finds again.")
class Node:
    id: strawberry.ID = strawberry.field(description="The global id: unique over all kinds of objects, and opaque.")


def global_id(kind: str, key: int | str) -> strawberry.ID:
    """``global_id("Account", 12)`` is the base64 text of ``Account:12``."""
    return strawberry.ID(base64.b64encode(f"{kind}:{key}".encode()).decode())


def split_id(text: str) -> tuple[str, str] | None:
    """Kind and key of a global id; None where the text is none (so it names nothing: null or NOT_FOUND)."""
    try:
        kind, colon, key = base64.b64decode(text, validate=True).decode().partition(":")
    except (binascii.Error, UnicodeDecodeError, ValueError):
        return None
    return (kind, key) if colon else None


def number_of(kind: str, text: str | None) -> int | None:
    """The whole number behind a global id of this kind, None where it is no such id."""
    parts = split_id(text) if text is not None else None
    return whole_number(parts[1]) if parts is not None and parts[0] == kind else None


def whole_number(key: str) -> int | None:
    """The number that a key spells, None where it spells none.

    Beyond a bigint is none as well: no row has such a number, and the database would refuse to compare it.
    """
    return int(key) if key.isascii() and key.isdigit() and len(key) <= 18 else None


Find = Callable[[RequestContext, str], Awaitable[Node | None]]
_FIND: dict[str, Find] = {}


def findable(kind: str) -> Callable[[Find], Find]:
    """Make `node` find objects of this kind: ``async def find(context, key) -> Node | None``.

    ``key`` is the part of the global id after the kind, as text from outside. None where the viewer may not see it.
    """

    def register(find: Find) -> Find:
        _FIND[kind] = find
        return find

    return register


def findable_kinds() -> frozenset[str]:
    """The kinds of objects that `find` finds."""
    return frozenset(_FIND)


async def find(context: RequestContext, id: str) -> Node | None:
    """The object with this global id; None where there is none, or not for this viewer."""
    parts = split_id(id)
    find_one = _FIND.get(parts[0]) if parts is not None else None
    return None if parts is None or find_one is None else await find_one(context, parts[1])


@strawberry.type
class NodeQueries:
    @strawberry.field(description="Any object by its global id; null where there is none, or not for this viewer.")
    async def node(
        self, info: Info, id: Annotated[strawberry.ID, strawberry.argument(description="A global id.")]
    ) -> Node | None:
        info.context.require_viewer()
        return await find(info.context, id)
