"""Serving HTTP until a signal: the listening socket, uvicorn, and an end within seconds."""

import errno
import signal
import socket
from collections.abc import Callable

import uvicorn
from starlette.applications import Starlette

from server import garbage_collection
from server.websocket_push import PushingWebSocket

# What still runs after this (a subscription, a long answer) is cut off.
SHUTDOWN_WAIT_S = 3
# Longer than clients and balancers keep an idle connection, so that it is they who close it: a request that meets a
# closing connection is lost, and a client may not send a mutation twice by itself.
KEEP_ALIVE_S = 75
# A ping and its pong cost what an event does, for each of thousands who watch; proxies cut what rests for a minute.
_PING_EVERY_S = 45


class ListenError(Exception):
    """The address cannot be listened on; the text is one line that says what to do."""


def bind(host: str, port: int) -> socket.socket:
    """A socket bound to the address, taken before anything slow is started. Raises: ListenError."""
    try:
        family, kind, protocol, _, address = socket.getaddrinfo(
            host, port, type=socket.SOCK_STREAM, flags=socket.AI_PASSIVE
        )[0]
        bound = socket.socket(family, kind, protocol)
    except UnicodeError:
        raise ListenError(f"cannot listen on {host}: it is no host name; name another with --host") from None
    except OSError as error:
        # An unknown name, or an address of a family that this machine does not speak.
        raise ListenError(f"cannot listen on {host}: {error.strerror}; name another with --host") from None
    try:
        bound.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        bound.bind(address)
        # Only a listening socket makes a second server see that the port is taken.
        bound.listen(2048)
    except OSError as error:
        bound.close()
        option = "--host" if error.errno == errno.EADDRNOTAVAIL else "--port"
        raise ListenError(f"cannot listen on {host}:{port}: {error.strerror}; name another with {option}") from None
    bound.set_inheritable(False)
    return bound


def address_of(bound: socket.socket) -> str:
    """The URL of the root, such as http://127.0.0.1:8000; a server on every address is named by the loopback one."""
    host, port = bound.getsockname()[:2]
    host = {"0.0.0.0": "127.0.0.1", "::": "::1"}.get(host, host)
    return f"http://[{host}]:{port}" if ":" in host else f"http://{host}:{port}"


class _Server(uvicorn.Server):
    """Says when it takes requests, and when it stops to."""

    def __init__(self, config: uvicorn.Config, on_ready: Callable[[], None], on_stopping: Callable[[], None]) -> None:
        super().__init__(config)
        self._on_ready = on_ready
        self._on_stopping = on_stopping

    async def startup(self, sockets: list[socket.socket] | None = None) -> None:
        await super().startup(sockets)
        if self.started:
            garbage_collection.settle()
            self._on_ready()

    async def shutdown(self, sockets: list[socket.socket] | None = None) -> None:
        self._on_stopping()
        await super().shutdown(sockets)


async def serve_http(
    app: Starlette, bound: socket.socket, on_ready: Callable[[], None], *, trusted_proxies: str = "127.0.0.1"
) -> bool:
    """Serve until SIGINT or SIGTERM, which is an ordinary end. False when the app did not start.

    ``on_ready`` is called once, when requests are taken. When they no longer are, the application's ``state.stopping``
    is set; what has not ended within seconds is cut off. ``trusted_proxies``, separated by commas, may say for whom
    they ask.
    """
    config = uvicorn.Config(
        app,
        http="httptools",
        ws=PushingWebSocket,
        # Compression keeps some 300 KB for each connection, and there are thousands; events are short.
        ws_per_message_deflate=False,
        ws_ping_interval=_PING_EVERY_S,
        lifespan="on",
        log_config=None,
        access_log=False,
        server_header=False,
        proxy_headers=True,
        forwarded_allow_ips=trusted_proxies,
        timeout_keep_alive=KEEP_ALIVE_S,
        timeout_graceful_shutdown=SHUTDOWN_WAIT_S,
    )
    server = _Server(config, on_ready, app.state.stopping.set)
    # uvicorn raises the signal once more when it is done, for handlers that were there before: it would kill us
    # before the database is closed.
    earlier = {number: signal.signal(number, server.handle_exit) for number in (signal.SIGINT, signal.SIGTERM)}
    try:
        await server.serve([bound])
    except SystemExit:
        # Its way to say that the app did not start; the reason is in the log.
        return False
    finally:
        for number, handler in earlier.items():
            signal.signal(number, handler)
    return True
