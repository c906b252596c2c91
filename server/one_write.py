"""uvicorn's HTTP protocol, with the head of an answer and its body sent by one system call.

uvicorn hands them over one after the other, and uvloop sends at once whatever it is given: two system calls and two
packets, of which the first wakes a client that can do nothing with it yet.
"""

import asyncio
from typing import Any

from uvicorn.protocols.http.httptools_impl import HttpToolsProtocol


class _HeadWaits:
    """A transport whose first write waits for a second to go with it, until the event loop turns at the latest."""

    def __init__(self, transport: asyncio.Transport) -> None:
        self._transport = transport
        self._loop = asyncio.get_running_loop()
        self._head: bytes | None = None

    def __getattr__(self, name: str) -> Any:
        return getattr(self._transport, name)

    def write(self, data: bytes) -> None:
        if self._head is None:
            self._head = data
            self._loop.call_soon(self._send_head)
        else:
            head, self._head = self._head, None
            self._transport.writelines((head, data))

    def close(self) -> None:
        self._send_head()
        self._transport.close()

    def _send_head(self) -> None:
        if self._head is not None:
            head, self._head = self._head, None
            self._transport.write(head)


class OneWriteProtocol(HttpToolsProtocol):
    """For uvicorn's ``http`` setting. A WebSocket gets the transport as it is: each of its events is one write."""

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]
        """One connection; uvicorn writes to what it is given here."""
        super().connection_made(_HeadWaits(transport))  # type: ignore[arg-type]
        self._bare = transport

    def handle_websocket_upgrade(self) -> None:
        """The connection is no longer HTTP."""
        self.transport = self._bare
        super().handle_websocket_upgrade()
