"""The baseline: one transaction a call, as well as it can be written, driven by PostgreSQL's own pgbench.

It does what one call of the product does to the tables, with prices that cost nothing to find: claim the key, insert
the call and its five charges, lock the five accounts in ascending id, add to their usage of the day, take the amounts
off their balances. Each transaction is one round trip of prepared statements; what everybody waits for (the operator's
row) is touched last. It does not tell listeners: a notification per transaction would slow it down further. Usage has a
row of its own on each level, as it had in the product before docs/adr/0031: the targets are in terms of this baseline.
"""

import asyncio
import os
import re
from dataclasses import dataclass
from pathlib import Path

from sqlalchemy.engine import make_url

from server.embedded_postgres import bundled_bin_dir
from tests.benchmarks.tree import CHILDREN_BY_LEVEL

# The settings of the product's charging connections that choose plans.
_OPTIONS = "-c jit=off -c enable_seqscan=off -c enable_hashjoin=off -c enable_mergejoin=off"


def _ids() -> str:
    """Where each level's account of a random customer is: ids are given level by level (see `tree`)."""
    lines, first_id, width = ["\\set a0 1"], 2, 1
    leaves = 1
    for children in CHILDREN_BY_LEVEL:
        leaves *= children
    lines.append(f"\\set customer random(0, {leaves - 1})")
    for level, children in enumerate(CHILDREN_BY_LEVEL, 1):
        width *= children
        lines.append(f"\\set a{level} {first_id} + :customer / {leaves // width}")
        first_id += width
    return "\n".join(lines)


_LEVELS = range(len(CHILDREN_BY_LEVEL) + 1)
_CUSTOMER = f":a{len(CHILDREN_BY_LEVEL)}"
_BY_LEVEL = ", ".join(f"(:a{level}::bigint, (:units - {level})::bigint)" for level in _LEVELS)
_SCRIPT = f"""
{_ids()}
\\set seconds random(1, 600)
\\set units 100 + :seconds * 9
\\set count :count + 1
\\set call_no :first_call_no + 100000000 * :client_id + :count
\\startpipeline
BEGIN;
INSERT INTO call_keys (call_id, account_id, started_at, call_no)
    VALUES ('switch2-' || :call_no::bigint, {_CUSTOMER}, now(), :call_no::bigint);
INSERT INTO calls (account_id, started_at, call_no, call_id, number, caller_number, prefix, destination, duration_s,
                   billed_s, charged_units, status)
    VALUES ({_CUSTOMER}, now(), :call_no::bigint, 'switch2-' || :call_no::bigint, '431234567890', '4319123456', '4312',
            'Destination 4312', :seconds, :seconds, :units::bigint - {_LEVELS[-1]}, 'CHARGED');
INSERT INTO charges (account_id, started_at, call_no, customer_id, amount_units, price_per_minute_e8, billed_s)
    SELECT account_id, now(), :call_no::bigint, {_CUSTOMER}::bigint, units, 540000, :seconds::int
    FROM (VALUES {_BY_LEVEL}) AS level (account_id, units);
SELECT account_id, balance_units, held_units, credit_limit_units, blocked FROM account_state
    WHERE account_id IN ({", ".join(f":a{level}::bigint" for level in _LEVELS)})
    ORDER BY account_id FOR NO KEY UPDATE;
INSERT INTO usage_days AS usage (account_id, day, calls, duration_s, charged_units)
    SELECT account_id, (now() AT TIME ZONE 'UTC')::date, 1, :seconds::bigint, units
    FROM (VALUES {_BY_LEVEL}) AS level (account_id, units)
    ON CONFLICT (account_id, day) DO UPDATE SET calls = usage.calls + 1,
        duration_s = usage.duration_s + excluded.duration_s,
        charged_units = usage.charged_units + excluded.charged_units;
UPDATE account_state AS state SET balance_units = balance_units - units, version = version + 1
    FROM (VALUES {_BY_LEVEL}) AS level (account_id, units) WHERE state.account_id = level.account_id;
COMMIT;
\\endpipeline
"""

_RATE = re.compile(r"tps = ([0-9.]+)")
_LATENCY = re.compile(r"latency average = ([0-9.]+) ms")
_COUNT = re.compile(r"number of transactions actually processed: ([0-9]+)")
_FAILED = re.compile(r"number of failed transactions: ([0-9]+)")

# Far above what the product hands out in a benchmark, and room for each run's clients.
_FIRST_CALL_NO = 10**12
_CALL_NOS_EACH_RUN = 10**10


@dataclass(frozen=True)
class PgbenchRun:
    """What pgbench said."""

    transactions: int
    per_s: float
    latency_ms: float


class Pgbench:
    """pgbench on one database; ``folder`` is for the script. ``charged`` is how many calls it has charged so far."""

    def __init__(self, database_url: str, folder: Path) -> None:
        url = make_url(database_url)
        self._environment = {
            **os.environ,
            "PGHOST": str(url.query["host"]),
            "PGUSER": url.username or "",
            "PGPASSWORD": url.password or "",
            "PGDATABASE": url.database or "",
            "PGOPTIONS": _OPTIONS,
        }
        self._script = folder / "one_call.sql"
        self._script.write_text(_SCRIPT)
        self._runs = 0
        self.charged = 0

    async def run(self, *, clients: int, seconds: int) -> PgbenchRun:
        """Charge calls of random customers for so long. Raises: RuntimeError where a transaction failed."""
        first_call_no = _FIRST_CALL_NO + self._runs * _CALL_NOS_EACH_RUN
        self._runs += 1
        process = await asyncio.create_subprocess_exec(
            *(bundled_bin_dir() / "pgbench", "--no-vacuum", "--protocol=prepared", f"--file={self._script}"),
            *(f"--client={clients}", "--jobs=2", f"--time={seconds}"),
            *("--define=count=0", f"--define=first_call_no={first_call_no}"),
            env=self._environment,
            stdout=asyncio.subprocess.PIPE,
            stderr=asyncio.subprocess.STDOUT,
        )
        output = (await process.communicate())[0].decode()
        if process.returncode or int(_found(_FAILED, output)):
            raise RuntimeError(f"transactions of pgbench failed:\n{output}")
        transactions = int(_found(_COUNT, output))
        self.charged += transactions
        return PgbenchRun(transactions, float(_found(_RATE, output)), float(_found(_LATENCY, output)))


def _found(pattern: re.Pattern[str], output: str) -> str:
    match = pattern.search(output)
    if match is None:
        raise RuntimeError(f"pgbench did not finish:\n{output}")
    return match[1]
