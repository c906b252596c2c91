"""A client that costs next to nothing: finished requests over keep-alive connections, one in flight on each.

It shares the machine with the server, so whatever it spends is missing there: no HTTP library, no JSON, no tasks.
"""

import asyncio
from collections import deque
from collections.abc import AsyncIterator, Iterator, Sequence
from contextlib import asynccontextmanager
from time import perf_counter
from typing import cast
from urllib.parse import urlsplit

_HEAD_END = b"\r\n\r\n"
_LENGTH = b"content-length: "


class _Run:
    """The requests that are still to be sent, and what came back."""

    def __init__(self, requests: Sequence[bytes], expected: bytes) -> None:
        self.requests: Iterator[bytes] = iter(requests)
        self.expected = expected
        self.count = len(requests)
        self.latencies_s: list[float] = []
        self.done: asyncio.Future[None] = asyncio.get_running_loop().create_future()

    def next_request(self, _connection: "_Connection") -> tuple[bytes, float] | None:
        """What this connection is to send now, and since when it waits to be sent; None: nothing."""
        request = next(self.requests, None)
        return None if request is None else (request, perf_counter())

    def answered(self, latency_s: float) -> None:
        self.latencies_s.append(latency_s)
        if len(self.latencies_s) == self.count and not self.done.done():
            self.done.set_result(None)

    def failed(self, reason: str) -> None:
        if not self.done.done():
            self.done.set_exception(RuntimeError(reason))


class _TimedRun(_Run):
    """Requests for so many seconds; then those in flight are waited for. Raises: RuntimeError: they do not last."""

    def __init__(self, requests: Sequence[bytes], expected: bytes, seconds: int) -> None:
        super().__init__(requests, expected)
        self.count = -1
        self._sent = 0
        self._ends_at = perf_counter() + seconds

    def next_request(self, connection: "_Connection") -> tuple[bytes, float] | None:
        if perf_counter() < self._ends_at:
            following = super().next_request(connection)
            if following is None:
                self.failed("there are not enough requests for the time")
            else:
                self._sent += 1
            return following
        self.count = self._sent
        if len(self.latencies_s) == self.count and not self.done.done():
            self.done.set_result(None)
        return None


class _PacedRun(_Run):
    """Requests that come at set times, whether or not those before them are answered."""

    def __init__(self, requests: Sequence[bytes], expected: bytes, connections: Sequence["_Connection"]) -> None:
        super().__init__(requests, expected)
        # The one that rested longest comes first: the server closes what rests for seconds.
        self._free = deque(connections)
        self._waiting: deque[tuple[bytes, float]] = deque()

    async def come(self, per_s: int) -> None:
        """Let so many come in a second; what finds no free connection waits for one."""
        begun_at = perf_counter()
        for number, request in enumerate(self.requests):
            due_at = begun_at + number / per_s
            await asyncio.sleep(max(0, due_at - perf_counter()))
            self._waiting.append((request, due_at))
            if self._free:
                self._free.popleft().start(self)

    def next_request(self, connection: "_Connection") -> tuple[bytes, float] | None:
        if self._waiting:
            return self._waiting.popleft()
        self._free.append(connection)
        return None


class _Connection(asyncio.Protocol):
    """One connection: sends the next request as soon as the last is answered."""

    _transport: asyncio.Transport
    _run: _Run | None = None
    _sent_at = 0.0

    def __init__(self) -> None:
        self._received = bytearray()

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        # uvloop's transports are no subclasses of asyncio's.
        self._transport = cast("asyncio.Transport", transport)

    def connection_lost(self, error: Exception | None) -> None:
        if self._run is not None:
            self._run.failed(f"the server closed a connection: {error!r}")

    def start(self, run: _Run) -> None:
        self._run = run
        if self._transport.is_closing():
            run.failed("the server closed a connection that rested")
        self._send_next(run)

    def close(self) -> None:
        self._run = None
        self._transport.close()

    def _send_next(self, run: _Run) -> None:
        following = run.next_request(self)
        if following is None:
            self._run = None
            return
        request, self._sent_at = following
        self._transport.write(request)

    def data_received(self, data: bytes) -> None:
        received = self._received
        received += data
        head_end = received.find(_HEAD_END)
        if head_end < 0:
            return
        length_at = received.index(_LENGTH) + len(_LENGTH)
        length = int(received[length_at : received.index(b"\r\n", length_at)])
        if len(received) < head_end + len(_HEAD_END) + length:
            return
        run = self._run
        assert run is not None, "an answer to nothing"
        if not received.startswith(b"HTTP/1.1 200 ") or run.expected not in received:
            run.failed(f"expected {run.expected!r}, got {bytes(received[:2000])!r}")
            return
        received.clear()
        run.answered(perf_counter() - self._sent_at)
        self._send_next(run)


async def send_all(
    address: str, requests: Sequence[bytes], *, in_flight: int, expected: bytes
) -> tuple[float, list[float]]:
    """Send the requests, ``in_flight`` at a time; answers the seconds it took and each request's latency in seconds.

    Raises: RuntimeError where an answer is not 200 or lacks the bytes ``expected``.
    """
    async with _connections(address, min(in_flight, len(requests))) as connections:
        run = _Run(requests, expected)
        begun_at = perf_counter()
        for connection in connections:
            connection.start(run)
        await run.done
        return perf_counter() - begun_at, run.latencies_s


async def send_for(
    address: str, requests: Sequence[bytes], *, seconds: int, in_flight: int, expected: bytes
) -> tuple[float, list[float]]:
    """`send_all`, but for so many seconds; there must be more requests than can be answered in them."""
    async with _connections(address, in_flight) as connections:
        run = _TimedRun(requests, expected, seconds)
        begun_at = perf_counter()
        for connection in connections:
            connection.start(run)
        await run.done
        return perf_counter() - begun_at, run.latencies_s


async def answer_to(address: str, request: bytes) -> bytes:
    """The body of the answer to one request."""
    url = urlsplit(address)
    reader, writer = await asyncio.open_connection(url.hostname, url.port)
    try:
        writer.write(request)
        head = await reader.readuntil(_HEAD_END)
        length_at = head.index(_LENGTH) + len(_LENGTH)
        return await reader.readexactly(int(head[length_at : head.index(b"\r\n", length_at)]))
    finally:
        writer.close()


async def send_at_a_rate(
    address: str, requests: Sequence[bytes], *, per_s: int, connections_max: int, expected: bytes
) -> tuple[float, list[float]]:
    """Send so many a second, whether or not those before are answered. Answers and raises the same.

    A latency counts from the time a request was to be sent, so it has in it how long the request waited for a free
    connection.
    """
    async with _connections(address, connections_max) as connections:
        run = _PacedRun(requests, expected, connections)
        begun_at = perf_counter()
        coming = asyncio.create_task(run.come(per_s))
        try:
            await run.done
        finally:
            coming.cancel()
        return perf_counter() - begun_at, run.latencies_s


@asynccontextmanager
async def _connections(address: str, count: int) -> AsyncIterator[list[_Connection]]:
    url = urlsplit(address)
    assert url.hostname is not None
    assert url.port is not None
    loop = asyncio.get_running_loop()
    connections = [(await loop.create_connection(_Connection, url.hostname, url.port))[1] for _ in range(count)]
    try:
        yield connections
    finally:
        for connection in connections:
            connection.close()
