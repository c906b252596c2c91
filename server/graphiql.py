"""GraphiQL for a browser that opens `/graphql`: every file comes from here, so it works without the internet."""

from pathlib import Path

from starlette.types import Send

STATIC_FOLDER = Path(__file__).parent / "static"

_PAGE = (STATIC_FOLDER / "graphiql" / "index.html").read_bytes()
_HEADERS = [
    (b"content-type", b"text/html; charset=utf-8"),
    (b"content-length", str(len(_PAGE)).encode()),
    (b"cache-control", b"no-cache"),
    (b"vary", b"accept"),
    # Nothing from elsewhere, whatever a query's answer or a description holds.
    (
        b"content-security-policy",
        b"default-src 'self'; style-src 'self' 'unsafe-inline'; img-src 'self' data:; font-src 'self' data:; "
        b"frame-ancestors 'none'; base-uri 'none'; form-action 'none'",
    ),
    (b"x-content-type-options", b"nosniff"),
]


async def send_page(send: Send) -> None:
    """Answer with the page."""
    await send({"type": "http.response.start", "status": 200, "headers": _HEADERS})
    await send({"type": "http.response.body", "body": _PAGE})
