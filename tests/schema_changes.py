"""What breaks clients between a released schema and the one of the code."""

import re
from collections.abc import Mapping
from pathlib import Path

from graphql import build_schema
from graphql.utilities import find_breaking_changes

_RELEASED = re.compile(r"schema-(\d+)\.(\d+)\.(\d+)\.graphql")


def newest_release(folder: Path) -> Path | None:
    """The schema of the highest version in the folder, None before the first release."""
    released = [(found, path) for path in folder.iterdir() if (found := _RELEASED.fullmatch(path.name))]
    if not released:
        return None
    return max(released, key=lambda one: [int(part) for part in one[0].groups()])[1]


def complaints(released: str, present: str, allowed: Mapping[str, str]) -> list[str]:
    """Every change from one schema to the other that breaks clients, and every allowance that none needs.

    ``allowed`` has the reason for each break that is meant, by the break's description.
    """
    breaks = {
        change.description: change for change in find_breaking_changes(build_schema(released), build_schema(present))
    }
    unexpected = [f"{change.type.name}: {text}" for text, change in breaks.items() if text not in allowed]
    return sorted(unexpected) + [
        f"allowed, but there is no such break: {text}" for text in allowed if text not in breaks
    ]


def as_text(found: list[str], release: str) -> str:
    """The complaints as a list to read, and what to do about them."""
    lines = "\n".join(f"  - {complaint}" for complaint in found)
    return (
        f"Since {release} the schema has changed so that clients break:\n{lines}\n"
        "Add instead of changing, and deprecate; a break that is meant goes into DELIBERATE_BREAKS with its reason."
    )
