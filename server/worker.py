"""One of several server processes on one port: `python -m server.worker SOCKET_FD NUMBER`, started by `server.workers`.

It writes a line when it takes requests, and ends in order on SIGTERM, or when its standard input does: so it never
outlives the process that started it, however that ends.
"""

import asyncio
import os
import signal
import socket
import sys

import uvloop

from server.app import create_app
from server.commands.common import CommandError, database_url, say, settings_for_command
from server.listening import serve_http
from server.logs import configure_logs

READY = b"ready\n"


def main(socket_fd: int, number: int) -> int:
    """Serve until told to end; answers the exit code."""
    settings = settings_for_command()
    configure_logs(settings.log_level, settings.log_format, worker=number)

    async def run(url: str) -> bool:
        asyncio.get_running_loop().add_reader(sys.stdin.fileno(), _end)
        app = create_app(settings, url)
        return await serve_http(app, bound, _say_ready, trusted_proxies=settings.trusted_proxies)

    with (
        socket.socket(fileno=socket_fd) as bound,
        database_url(settings) as url,
        asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner,
    ):
        return 0 if runner.run(run(url)) else 1


def _end() -> None:
    # Nothing is ever written there: it has ended.
    asyncio.get_running_loop().remove_reader(sys.stdin.fileno())
    signal.raise_signal(signal.SIGTERM)


def _say_ready() -> None:
    os.write(sys.stdout.fileno(), READY)


if __name__ == "__main__":
    try:
        sys.exit(main(int(sys.argv[1]), int(sys.argv[2])))
    except CommandError as error:
        say(f"tollpath: {error}")
        sys.exit(error.exit_code)
