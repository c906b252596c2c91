"""Which media type a client wants its answer in, from its Accept header."""

from dataclasses import dataclass
from functools import lru_cache

JSON = "application/json"
GRAPHQL_RESPONSE = "application/graphql-response+json"
EVENT_STREAM = "text/event-stream"
HTML = "text/html"

# Longer than any client's; nothing longer is read, so the remembered headers stay small.
_ACCEPT_CHARACTERS_MAX = 1_000


@dataclass(frozen=True, slots=True)
class Accepted:
    """``answer`` is the media type for one result, None where the client takes neither of the two."""

    answer: str | None
    events: bool
    page: bool


@lru_cache(maxsize=256)
def accepted(header: bytes | None) -> Accepted:
    """What the client takes. Without a header, or for ``*/*``, the answer is application/json.

    GraphQL over HTTP, section "Media Types"; quality values as in RFC 9110, 12.5.1. Of equal ones the first counts.
    """
    if not header or not header.strip():
        return Accepted(JSON, events=False, page=False)
    qualities = _qualities(header[:_ACCEPT_CHARACTERS_MAX].decode("latin-1"))
    answer, best = None, 0.0
    for media_type, quality in qualities.items():
        offered = {GRAPHQL_RESPONSE: GRAPHQL_RESPONSE, JSON: JSON, "application/*": JSON, "*/*": JSON}.get(media_type)
        if offered and quality > best and qualities.get(offered, quality) > 0:
            answer, best = offered, quality
    return Accepted(answer, events=qualities.get(EVENT_STREAM, 0.0) > 0, page=qualities.get(HTML, 0.0) > 0)


def _qualities(header: str) -> dict[str, float]:
    qualities: dict[str, float] = {}
    for part in header.lower().split(","):
        media_type, *parameters = (piece.strip() for piece in part.split(";"))
        quality = 1.0
        for parameter in parameters:
            name, _, value = parameter.partition("=")
            if name.strip() == "charset" and value.strip(' "') not in ("utf-8", "utf8"):
                quality = 0.0
            elif name.strip() == "q":
                quality = _quality(value)
        if media_type:
            qualities.setdefault(media_type, quality)
    return qualities


def _quality(text: str) -> float:
    try:
        return min(max(float(text), 0.0), 1.0)
    except ValueError:
        return 0.0
