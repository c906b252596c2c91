"""A process of its own that watches over many WebSockets and notes when each event came.

It shares the machine with the server, so it does next to nothing: it cuts the frames apart and looks for two numbers
in the text. `python -m tests.benchmarks.watching_client PORT FIRST_EVENTS` reads a line of JSON from standard
input: a list of what each connection says once it is open (an empty list where it only listens). It answers ``ready``
when each connection has got so many events to begin with, and at the end of its standard input everything it noted.
"""

import asyncio
import json
import os
import sys
import threading
from time import perf_counter

import uvloop

_HANDSHAKE = (
    b"GET /graphql HTTP/1.1\r\nhost: localhost\r\nupgrade: websocket\r\nconnection: upgrade\r\n"
    b"sec-websocket-key: dGhlIHNhbXBsZSBub25jZQ==\r\nsec-websocket-version: 13\r\n"
    b"sec-websocket-protocol: graphql-transport-ws\r\n\r\n"
)
_HEAD_END = b"\r\n\r\n"
_VERSION = b'"version":'
_TEXT, _PING = 0x81, 0x89
# At most so many connect at once: as many as a listening socket lets wait, and no handshake times out.
_CONNECTING_MAX = 100


class Watching(asyncio.Protocol):
    """One connection. ``events`` are (when, version) of each."""

    def __init__(self, sayings: list[str], first_events: int) -> None:
        self.events: list[tuple[float, int]] = []
        self.begun: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        self._first_events = first_events
        self._sayings = sayings
        self._received = bytearray()
        self._open = False

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._transport = transport
        transport.write(_HANDSHAKE)  # type: ignore[attr-defined]

    def connection_lost(self, error: Exception | None) -> None:
        if not self.begun.done():
            self.begun.set_exception(ConnectionResetError(f"the server closed a connection: {error!r}"))

    def data_received(self, data: bytes) -> None:
        now = perf_counter()
        received = self._received
        received += data
        if not self._open:
            end = received.find(_HEAD_END)
            if end < 0:
                return
            assert received.startswith(b"HTTP/1.1 101 "), bytes(received)
            del received[: end + len(_HEAD_END)]
            self._open = True
            for saying in self._sayings:
                self._write(_TEXT, saying.encode())
        begin = 0
        while len(received) - begin >= 2:
            length, head = received[begin + 1], 2
            if length == 126:
                length, head = int.from_bytes(received[begin + 2 : begin + 4], "big"), 4
            end = begin + head + length
            if len(received) < end:
                break
            if received[begin] == _PING:
                self._write(_PING + 1, bytes(received[begin + head : end]))
            else:
                self._note(now, received, begin, end)
            begin = end
        del received[:begin]

    def _note(self, now: float, received: bytearray, begin: int, end: int) -> None:
        found = received.find(_VERSION, begin, end)
        if found < 0:
            # The acknowledgement of connection_init; anything else is no event of ours.
            assert received.find(b"connection_ack", begin, end) > 0, bytes(received[begin:end])
            return
        digits_at = digits_end = found + len(_VERSION)
        while 48 <= received[digits_end] <= 57:
            digits_end += 1
        self.events.append((now, int(received[digits_at:digits_end])))
        if len(self.events) == self._first_events:
            self.begun.set_result(None)

    def _write(self, opcode: int, payload: bytes) -> None:
        length = len(payload)
        head = bytes((opcode, 0x80 | length)) if length < 126 else bytes((opcode, 0xFE)) + length.to_bytes(2, "big")
        # Masked with zeros, which leaves it as it is.
        self._transport.write(head + bytes(4) + payload)  # type: ignore[attr-defined]


async def main(port: int, first_events: int) -> None:
    """See the module."""
    loop = asyncio.get_running_loop()
    connecting = asyncio.Semaphore(_CONNECTING_MAX)

    async def connect(sayings: list[str]) -> Watching:
        async with connecting:
            _, watching = await loop.create_connection(lambda: Watching(sayings, first_events), "127.0.0.1", port)
            await watching.begun
            return watching

    said = json.loads(sys.stdin.readline())
    watchers = await asyncio.gather(*map(connect, said))
    print("ready", flush=True)
    ended = loop.create_future()
    threading.Thread(
        target=lambda: (sys.stdin.read(), loop.call_soon_threadsafe(ended.set_result, None)), daemon=True
    ).start()
    await ended
    times = os.times()
    print(json.dumps({"events": [watching.events for watching in watchers], "cpu_s": times.user + times.system}))


if __name__ == "__main__":
    uvloop.run(main(*map(int, sys.argv[1:])))
