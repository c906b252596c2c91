"""`python -m tests.benchmarks`: run the benchmarks and print what they measured.

Exit code 1 only where figures are worthless (the books were wrong afterwards) or missing, whatever the figures are.
"""

import argparse
import asyncio
import json
import signal
import sys
from collections.abc import Awaitable
from pathlib import Path

import uvloop

from tests.benchmarks import charging, cost, exports, growth, holds, peers, rerating, sustained, watchers, workers
from tests.benchmarks.machine import header
from tests.benchmarks.report import Options, Report, as_page

_BENCHMARKS = {
    module.NAME: module.run
    for module in (charging, sustained, growth, holds, peers, rerating, watchers, workers, cost, exports)
}


def main() -> int:
    """Run what the command line asks for."""
    parser = argparse.ArgumentParser(prog="python -m tests.benchmarks", description=__doc__)
    parser.add_argument("--only", action="append", choices=sorted(_BENCHMARKS), help="run this one; may be repeated")
    parser.add_argument("--quick", action="store_true", help="a smoke run: its figures mean nothing")
    parser.add_argument("--rounds", type=int, default=Options.rounds, help="rounds of each figure (%(default)s)")
    parser.add_argument("--seed", type=int, default=Options.seed, help="of the tree and the calls (%(default)s)")
    parser.add_argument("--large", action="store_true", help="also 10 M stored calls and 1 M accounts")
    parser.add_argument(
        "--page", type=Path, help="write the figures as a page of Markdown, such as docs/performance.md"
    )
    parser.add_argument("--json", action="store_true", help="print JSON instead of tables")
    given = parser.parse_args()
    machine = header()
    if not given.json:
        print("\n".join(f"{name:9} {value}" for name, value in machine.items()), flush=True)
        if given.quick:
            print("\nA quick run: it shows that everything works, its figures mean nothing.")
    reports: list[Report] = []
    failed: list[str] = []
    for name in given.only or _BENCHMARKS:
        options = Options(quick=given.quick, seed=given.seed, rounds=given.rounds, large=given.large)
        try:
            reports.append(uvloop.run(_stoppable(_BENCHMARKS[name](options))))
        except asyncio.CancelledError:
            print(f"\n{name} was stopped", file=sys.stderr)
            return 128 + signal.SIGTERM
        except Exception as error:
            # What the others measure takes many minutes, and is worth as much.
            print(f"\n!!! {name} failed: {error!r} !!!", file=sys.stderr, flush=True)
            failed.append(name)
            continue
        if not given.json:
            print(f"\n{reports[-1].as_text()}", flush=True)
    if given.json:
        print(json.dumps({"machine": machine, "reports": [report.as_json() for report in reports]}, indent=2))
    if given.page is not None:
        given.page.write_text(as_page(machine, reports))
    return 1 if failed or any(report.alarms for report in reports) else 0


async def _stoppable(benchmark: Awaitable[Report]) -> Report:
    """SIGTERM ends it as Ctrl-C does: in order, with every server that it has started."""
    task = asyncio.current_task()
    assert task is not None
    asyncio.get_running_loop().add_signal_handler(signal.SIGTERM, task.cancel)
    return await benchmark


if __name__ == "__main__":
    sys.exit(main())
