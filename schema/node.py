"""Global ids: opaque text that names a kind of object and one of them, unique over the whole API."""

import base64
import binascii

import strawberry


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
    """The whole number behind a global id of this kind, None where it is no such id.

    Ids beyond a bigint are None as well: no row has one, and the database would refuse to compare it.
    """
    parts = split_id(text) if text is not None else None
    if parts is None or parts[0] != kind or not (parts[1].isascii() and parts[1].isdigit()) or len(parts[1]) > 18:
        return None
    return int(parts[1])
