"""Several server processes on one database and one port: started, replaced when they end, ended together.

The parent listens and serves nothing. Each worker inherits the listening socket, so that whichever is free takes the
next connection, and none is lost with a worker that is killed while it waits to be taken.
"""

import asyncio
import os
import signal
import socket
import sys
from collections.abc import Callable
from contextlib import suppress

import structlog
from prometheus_client.multiprocess import mark_process_dead

from server.metrics_folder import MetricsFolder, metrics_folder
from server.settings import PREFIX, Settings

# Longer than a worker takes to end: what still runs after seconds it cuts off itself.
END_WAIT_S = 15.0
# One that ends sooner after its start has crashed at once, and the next has to wait, twice as long each time.
STEADY_AFTER_S = 10.0
_AGAIN_AFTER_S = 0.5
_AGAIN_AFTER_S_MAX = 30.0

_log = structlog.get_logger(__name__)


async def serve_by_workers(settings: Settings, bound: socket.socket, on_ready: Callable[[], None]) -> bool:
    """Serve with ``settings.workers`` processes until SIGINT or SIGTERM. False when one of them could not start.

    ``on_ready`` is called once, when all of them take requests.
    """
    ending = asyncio.Event()
    loop = asyncio.get_running_loop()
    for number in (signal.SIGINT, signal.SIGTERM):
        loop.add_signal_handler(number, ending.set)
    with metrics_folder() as metrics:
        environment = os.environ | {
            f"{PREFIX}DATA_DIR": str(settings.data_dir.absolute()),
            "PROMETHEUS_MULTIPROC_DIR": str(metrics.path),
        }
        workers = [_Worker(number + 1, bound, metrics, environment, ending) for number in range(settings.workers)]
        lives = [asyncio.create_task(worker.live()) for worker in workers]
        started = all(await asyncio.gather(*(worker.started for worker in workers)))
        if started and not ending.is_set():
            on_ready()
            await ending.wait()
        told_to_end = ending.is_set()
        ending.set()
        # From now on whoever connects is told at once that nobody is here.
        bound.close()
        await asyncio.gather(*lives)
    return started or told_to_end


class _Worker:
    """The place of one worker, whichever process fills it."""

    def __init__(
        self,
        number: int,
        bound: socket.socket,
        metrics: MetricsFolder,
        environment: dict[str, str],
        ending: asyncio.Event,
    ) -> None:
        self.started: asyncio.Future[bool] = asyncio.get_running_loop().create_future()
        self._number = number
        self._socket_fd = bound.fileno()
        self._metrics = metrics
        self._environment = environment
        self._ending = ending

    async def live(self) -> None:
        """Run one process after the other until all are to end, or the first of them does not start."""
        crashes = 0
        while True:
            begun_at = asyncio.get_running_loop().time()
            exit_code = await self._run()
            if self._ending.is_set() or not self.started.result():
                return
            crashes = crashes + 1 if asyncio.get_running_loop().time() - begun_at < STEADY_AFTER_S else 0
            wait_s = again_after_s(crashes)
            _log.error("worker_ended", worker=self._number, how=_how(exit_code), again_in_s=wait_s)
            with suppress(TimeoutError):
                async with asyncio.timeout(wait_s):
                    await self._ending.wait()
            if self._ending.is_set():
                return

    async def _run(self) -> int:
        process = await asyncio.create_subprocess_exec(
            # -P: no folder of the same name where we were started is taken for ours.
            *(sys.executable, "-P", "-m", "server.worker", str(self._socket_fd), str(self._number)),
            env=self._environment,
            stdin=asyncio.subprocess.PIPE,
            stdout=asyncio.subprocess.PIPE,
            pass_fds=[self._socket_fd, self._metrics.lock_fd],
        )
        ended = asyncio.create_task(process.wait())
        told_to_end = asyncio.create_task(self._end(process))
        try:
            assert process.stdout is not None
            is_ready = bool(await process.stdout.readline())
            if not self.started.done():
                self.started.set_result(is_ready)
            elif is_ready:
                _log.warning("worker_replaced", worker=self._number, pid=process.pid)
            return await ended
        finally:
            told_to_end.cancel()
            mark_process_dead(process.pid, str(self._metrics.path))  # type: ignore[no-untyped-call]

    async def _end(self, process: asyncio.subprocess.Process) -> None:
        await self._ending.wait()
        assert process.stdin is not None
        process.stdin.close()
        await asyncio.sleep(END_WAIT_S)
        _log.error("worker_killed", worker=self._number, pid=process.pid, waited_s=END_WAIT_S)
        process.kill()


def again_after_s(crashes_at_once: int) -> float:
    """How long the next process waits after so many in a row that ended soon after their start."""
    return min(_AGAIN_AFTER_S * 2**crashes_at_once, _AGAIN_AFTER_S_MAX) if crashes_at_once else 0.0


def _how(exit_code: int) -> str:
    return f"killed by {signal.Signals(-exit_code).name}" if exit_code < 0 else f"exit code {exit_code}"
