"""Measuring several ways in turn, so that a noisy minute of the machine does not fall on one of them alone."""

import statistics
import sys
from collections.abc import Awaitable, Callable, Mapping, Sequence
from dataclasses import dataclass, field


@dataclass(frozen=True)
class Measured:
    """One round of one way: calls, seconds by the clock, processor seconds by process, a latency a request if known."""

    calls: int
    seconds: float
    cpu_s: Mapping[str, float]
    latencies_s: Sequence[float] = ()

    def per_s(self) -> float:
        """Calls a second."""
        return self.calls / self.seconds

    def percentile_ms(self, percent: int) -> float | None:
        """The latency that so many percent of the requests did not exceed, in milliseconds."""
        if len(self.latencies_s) < 2:
            return None
        return statistics.quantiles(self.latencies_s, n=100, method="inclusive")[percent - 1] * 1000

    def cpu_ms_per_1000(self, process: str) -> float:
        """Processor time of a process, in milliseconds for each 1,000 calls."""
        return self.cpu_s[process] * 1_000_000 / self.calls


@dataclass
class Way:
    """One way to do the work, and its rounds."""

    name: str
    measure: Callable[[], Awaitable[Measured]]
    rounds: list[Measured] = field(default_factory=list)

    def median(self, figure: Callable[[Measured], float]) -> float:
        """The median of a figure over the rounds."""
        return statistics.median(map(figure, self.rounds))

    def median_of_known(self, figure: Callable[[Measured], float | None]) -> float | None:
        """The same of a figure that not every way has."""
        known = [value for value in map(figure, self.rounds) if value is not None]
        return statistics.median(known) if known else None


async def measure_in_turn(ways: Sequence[Way], rounds: int) -> None:
    """One round of each to warm up, which is thrown away, then ``rounds`` of each; progress goes to standard error."""
    for number in range(rounds + 1):
        for way in ways:
            _say(f"round {number} of {rounds}: {way.name}")
            measured = await way.measure()
            if number:
                way.rounds.append(measured)
    _say("")


def _say(text: str) -> None:
    if sys.stderr.isatty():
        print(f"\r{text:<79}\r", end="", file=sys.stderr, flush=True)
