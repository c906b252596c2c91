"""A client that keeps its connection must not find it closed under its next request, which it could not send twice."""

import asyncio
from pathlib import Path

from tests.server_process import server_process

# The usual client lets go of an idle connection after 5 s, balancers and switches after up to a minute.
IDLE_S = 5.5


async def test_an_idle_connection_outlives_the_client_s_own_patience(database_url: str, tmp_path: Path) -> None:
    async with server_process(database_url, tmp_path / "log") as server:
        host, _, port = server.address.removeprefix("http://").partition(":")
        reader, writer = await asyncio.open_connection(host, int(port))
        for idle_s in (IDLE_S, 0):
            writer.write(b"GET /healthz HTTP/1.1\r\nhost: tollpath.test\r\n\r\n")
            assert (await reader.readline()).startswith(b"HTTP/1.1 200 ")
            while (await reader.readline()).strip():
                pass
            assert await reader.readexactly(len('{"status":"ok"}')) == b'{"status":"ok"}'
            await asyncio.sleep(idle_s)
        writer.close()
        await writer.wait_closed()
