"""`tollpath serve` as processes of their own, on one database."""

import asyncio
import os
import re
import signal
import sys
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, asynccontextmanager
from pathlib import Path
from typing import Any

from tests.graphql_client import CHEAP_HASH, PASSWORD

_ADDRESS = re.compile(r"GraphQL\s+(http://\S+)/graphql")
_PROGRAM = "from server.cli import main; main()"


class ServerProcess:
    """A running server; ``address`` is its root."""

    def __init__(self, process: asyncio.subprocess.Process, address: str, log: Path) -> None:
        self.process = process
        self.address = address
        self._log = log

    def worker_ids(self) -> list[int]:
        """The processes of its workers, where it has some."""
        return self.workers_of(self.process.pid)

    @staticmethod
    def workers_of(process_id: int) -> list[int]:
        """The children of a process."""
        return [int(child) for child in Path(f"/proc/{process_id}/task/{process_id}/children").read_text().split()]

    def log(self) -> str:
        """What it has logged."""
        return self._log.read_text()


@asynccontextmanager
async def server_process(
    database_url: str, log: Path, *, program: str = _PROGRAM, **settings: Any
) -> AsyncIterator[ServerProcess]:
    """A server on a free port; its operator is ``operator`` with the usual password. It must end in order."""
    environment = {name: value for name, value in os.environ.items() if not name.startswith("TOLLPATH_")}
    environment |= {"DATABASE_URL": database_url, "TOLLPATH_OPERATOR_PASSWORD": PASSWORD}
    environment |= {f"TOLLPATH_{name.upper()}": str(value) for name, value in (CHEAP_HASH | settings).items()}
    with log.open("wb") as errors:
        process = await asyncio.create_subprocess_exec(
            *(sys.executable, "-c", program, "serve", "--port", "0"),
            env=environment,
            stdout=asyncio.subprocess.PIPE,
            stderr=errors,
        )
    server = ServerProcess(process, "", log)
    try:
        assert process.stdout is not None
        while (match := _ADDRESS.search((line := await process.stdout.readline()).decode())) is None:
            assert line, server.log()
        server.address = match[1]
        yield server
    finally:
        if process.returncode is None:
            process.send_signal(signal.SIGTERM)
        await process.communicate()
    assert process.returncode == 0, server.log()


@asynccontextmanager
async def server_processes(
    database_url: str, folder: Path, count: int, **settings: Any
) -> AsyncIterator[list[ServerProcess]]:
    """So many servers on one database, started at the same time."""
    async with AsyncExitStack() as stack:
        logs = [folder / f"server-{number}.log" for number in range(count)]
        starting = [server_process(database_url, log, **settings) for log in logs]
        yield list(await asyncio.gather(*map(stack.enter_async_context, starting)))
