"""What proves the books behind a benchmark, on the very data that it left.

calls       each that was acknowledged is stored once, and no other (`reckoning`)
reckoning   many of them, charged again by the naive reference ledger, cost every level the same (`reckoning`)
simulation  random use of the product goes on from there, compared with that ledger after each step
audit       then every figure that is kept is what its rows come to
"""

import traceback
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass

from models.database import Database
from resolvers.audit import audit
from tests.benchmarks.place import Place
from tests.benchmarks.reckoning import reckon_again
from tests.benchmarks.report import Options
from tests.raw_connection import connected
from tests.simulated_run import simulation_of

# At its beginning nobody is blocked and nothing is free, so by about fifty steps everything has happened.
_SEED = 9
_STEPS = 40
_STEPS_QUICK = 8
# By then everything has happened, or something is wrong with the simulation.
_STEPS_MAX = 200


@dataclass(frozen=True)
class Proof:
    """What was found wrong, nothing where all is well; how many calls were stored, and how many of them charged again;
    the steps of the simulation.
    """

    alarms: Sequence[str]
    is_audit_clean: bool
    calls: int
    reckoned: int
    steps: int

    @property
    def facts(self) -> Mapping[str, str]:
        """For a report."""
        facts = {}
        if self.calls:
            facts["reckoned again"] = f"{self.reckoned:,} of {self.calls:,} calls, by the reference ledger"
        if self.steps:
            facts["simulation"] = f"{self.steps:,} steps on top of it, compared with the reference ledger after each"
        return facts | {"audit": "clean" if self.is_audit_clean else "NOT CLEAN"}


async def prove(
    place: Place, options: Options, *, charged: int = 0, baseline: int = 0, simulated: bool = True
) -> Proof:
    """Prove what is in this place. Nobody may be writing there.

    ``charged`` is how many calls of the load were acknowledged, ``baseline`` how many that the product did not rate.
    """
    database = Database(place.url)
    try:
        async with connected(place.url) as connection:
            reckoning = await reckon_again(connection, charged=charged, baseline=baseline)
        alarms, steps = await _simulate(place, database, options) if simulated else ([], 0)
        report = await audit(database)
    finally:
        await database.close()
    if report.differences:
        alarms.append(
            f"THE BOOKS ARE WRONG in {report.differences_in_all} places, so no figure here is worth anything. "
            f"The first: {report.differences[0]}"
        )
    return Proof([*reckoning.alarms, *alarms], not report.differences, reckoning.calls, reckoning.reckoned, steps)


def all_of(proofs: Iterable[Proof]) -> Proof:
    """The proofs of several databases as one."""
    proofs = list(proofs)
    return Proof(
        [alarm for proof in proofs for alarm in proof.alarms],
        all(proof.is_audit_clean for proof in proofs),
        sum(proof.calls for proof in proofs),
        sum(proof.reckoned for proof in proofs),
        sum(proof.steps for proof in proofs),
    )


async def _simulate(place: Place, database: Database, options: Options) -> tuple[list[str], int]:
    """The alarms, and the steps that were taken."""
    taken: list[str] = []
    try:
        async with simulation_of(_SEED, place.url, database, place.folder) as simulation:
            taken = simulation.taken
            while len(taken) < (_STEPS_QUICK if options.quick else _STEPS):
                await simulation.step()
            while not options.quick and simulation.missing() and len(taken) < _STEPS_MAX:
                await simulation.step()
            missing = [] if options.quick else sorted(simulation.missing())
    except AssertionError as error:
        frames = traceback.extract_tb(error.__traceback__)
        return [
            f"THE SIMULATION FAILED in step {len(taken)} ({taken[-1] if taken else 'the beginning'}), so no figure "
            f"here is worth anything: {frames[-1].line} {error}"
        ], len(taken)
    return [f"THE SIMULATION PROVES NOTHING: it has not had {missing}."] if missing else [], len(taken)
