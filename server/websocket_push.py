"""WebSockets that take a text at once, without a task that waits to send it.

An event of thousands of watchers costs more to wake the task of each than to write. ASGI can only be awaited, so the
connection offers its own way as an extension of the scope.
"""

from collections.abc import Callable, MutableMapping
from typing import Any

from uvicorn.protocols.websockets.websockets_sansio_impl import WebSocketsSansIOProtocol
from websockets.protocol import State

# From the text of a message to whether it is sent.
Push = Callable[[str], bool]

_EXTENSION = "tollpath.push"
_TEXT_AND_LAST = 0x81


class PushingWebSocket(WebSocketsSansIOProtocol):
    """uvicorn's WebSocket, with the extension."""

    async def run_asgi(self) -> None:
        """Run the application, which may push."""
        extensions: Any = self.scope["extensions"]
        extensions[_EXTENSION] = {"push": self._push}
        await super().run_asgi()

    def _push(self, text: str) -> bool:
        # The conditions are those of uvicorn's own `send`, which waits for the first and raises for the others.
        if not self.writable.is_set() or self.disconnected or self.close_sent or not self.handshake_complete:
            return False
        if self.conn.state is not State.OPEN:
            return False
        self.transport.write(text_frame(text.encode()))
        return True


def text_frame(data: bytes) -> bytes:
    """A whole message of a server: RFC 6455, section 5.2. `websockets` takes five times as long for it."""
    length = len(data)
    if length < 126:
        return bytes((_TEXT_AND_LAST, length)) + data
    if length < 2**16:
        return bytes((_TEXT_AND_LAST, 126, length >> 8, length & 255)) + data
    return bytes((_TEXT_AND_LAST, 127)) + length.to_bytes(8, "big") + data


def push_of(scope: MutableMapping[str, Any]) -> Push | None:
    """How to send a text to this connection at once; None where the server cannot.

    It answers False, and nothing is sent, where the client reads slowly or is gone: then it has to be awaited.
    """
    extension = scope.get("extensions", {}).get(_EXTENSION)
    return None if extension is None else extension["push"]
