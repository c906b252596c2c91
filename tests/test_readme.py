"""The README holds: its commands run as written and answer what it shows, its tables and links are right."""

import asyncio
import json
import re
import shlex
import shutil
from pathlib import Path
from typing import Any

import pytest

from server.app import create_app
from server.cli import app
from server.commands.settings import markdown_table
from server.demo import load_demo
from server.settings import Settings
from tests.command_line import TOLLPATH, environment
from tests.graphql_client import CHEAP_HASH, Api
from tests.http_face import running

ROOT = Path(__file__).resolve().parent.parent
README = (ROOT / "README.md").read_text()
ADDRESS = "http://127.0.0.1:8000"
ANYTHING = "…"
BLOCK = re.compile(r"^```(\w*)\n(.*?)^```$", re.MULTILINE | re.DOTALL)
SETTINGS = Settings(**CHEAP_HASH)  # type: ignore[arg-type]
END_OF_BLOCK = "\x1e"


def section(heading: str) -> str:
    """The text below a heading of the second level."""
    return README.split(f"\n## {heading}\n")[1].split("\n## ")[0]


def documents(text: str) -> list[Any]:
    """Every JSON document of a text; lines of an event stream that carry none are passed over."""
    lines = [line.removeprefix("data:") for line in text.splitlines() if not line.startswith("event:")]
    rest = "\n".join(lines).strip()
    found = []
    while rest:
        document, end = json.JSONDecoder().raw_decode(rest)
        found.append(document)
        rest = rest[end:].strip()
    return found


def matches(shown: Any, found: Any) -> bool:
    """Whether an answer is the one that is shown; where that says `…` it may be anything."""
    if shown == ANYTHING:
        return True
    if isinstance(shown, dict) and isinstance(found, dict):
        return shown.keys() == found.keys() and all(matches(value, found[key]) for key, value in shown.items())
    if isinstance(shown, list) and isinstance(found, list):
        return len(shown) == len(found) and all(map(matches, shown, found))
    return bool(shown == found)


@pytest.fixture
def curl() -> None:
    """`bash` and `curl` are here; where they are not, a loud line says so."""
    if not (shutil.which("bash") and shutil.which("curl")):
        pytest.skip("bash and curl are not here: the commands of the README DID NOT RUN")


@pytest.mark.usefixtures("curl")
async def test_the_commands_to_try_answer_what_is_shown(api: Api, database_url: str, tmp_path: Path) -> None:
    await load_demo(SETTINGS, database_url)
    blocks = BLOCK.findall(section("Try"))
    commands = [text for language, text in blocks if language == "sh"]
    async with running(create_app(SETTINGS, database_url)) as address:
        script = f"\nprintf '{END_OF_BLOCK}'\n".join(commands)
        script = script.replace(ADDRESS, address).replace(".venv/bin/tollpath", shlex.quote(str(TOLLPATH)))
        process = await asyncio.create_subprocess_exec(
            *("bash", "-eu", "-c", script),
            cwd=tmp_path,
            env=environment({"DATABASE_URL": database_url}),
            stdout=asyncio.subprocess.PIPE,
            stderr=asyncio.subprocess.PIPE,
        )
        output, complaints = await process.communicate()
    assert (process.returncode, complaints.decode()) == (0, "")
    answers = iter(output.decode().split(END_OF_BLOCK))
    compared = 0
    for (language, text), (following, shown) in zip(blocks, [*blocks[1:], ("", "")], strict=True):
        if language == "sh":
            found = next(answers)
            assert is_shown(found, shown if following in ("json", "text") else "", following), f"{text}\n{found}"
            compared += following in ("json", "text")
    assert compared >= 10


def is_shown(found: str, shown: str, language: str) -> bool:
    """Whether an output is the one that is shown in a block of this language, but for the cost of the query."""
    if language == "text":
        return re.fullmatch(re.escape(shown).replace(ANYTHING, ".*"), found) is not None
    answers = documents(found)
    for answer in answers:
        del answer["extensions"]
    return matches(documents(shown), answers)


async def test_the_picture_has_the_figures_of_the_demo(api: Api, database_url: str) -> None:
    await load_demo(SETTINGS, database_url)
    picture = BLOCK.search(README)
    assert picture is not None
    found = await api('{ account(username: "keytyh*good") { id } }', by=api.operator)
    query = f'quote(accountId: "{found["account"]["id"]}", number: "+43 664 1234567", durationSeconds: 300)'
    query = f"{{ {query} {{ levels {{ account {{ username }} pricePerMinute amount }} }} }}"
    levels = (await api(query, by=api.operator))["quote"]["levels"]
    assert len(levels) == 4
    for level in levels:
        assert re.search(rf"{re.escape(level['account']['username'])} +pays {level['amount']}", picture[2])
        assert level["pricePerMinute"].rstrip("0") in picture[2]


def test_the_table_of_settings_is_what_the_command_prints() -> None:
    assert markdown_table() in section("Settings")


def test_every_command_is_in_its_table() -> None:
    rows = re.findall(r"^\| `([a-z-]+)", section("Command line"), re.MULTILINE)
    assert sorted(rows) == sorted(str(command.name) for command in app.registered_commands)


def test_links_lead_somewhere_and_the_page_stays_readable() -> None:
    links = [link for link in re.findall(r"\]\(([^)#]+)", README) if "://" not in link]
    assert [link for link in links if not (ROOT / link).exists()] == []
    assert len(README.splitlines()) < 400
    assert max(map(len, (line for line in README.splitlines() if not line.startswith("|")))) <= 130


def test_every_decision_has_a_number_of_its_own() -> None:
    records = sorted(path.name for path in (ROOT / "docs" / "adr").glob("*.md"))
    numbers = [name.partition("-")[0] for name in records]
    assert len(set(numbers)) == len(numbers)
    for name in records:
        title = (ROOT / "docs" / "adr" / name).read_text().splitlines()[0]
        assert title.startswith(f"# {int(name.partition('-')[0])}. "), name
