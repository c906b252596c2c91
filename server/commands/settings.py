"""`tollpath settings`: every setting, with its default and meaning."""

from enum import StrEnum
from typing import Annotated

import typer

from server.commands.common import write, write_json
from server.settings import documented_settings


class Form(StrEnum):
    """How the table is written."""

    TEXT = "text"
    MARKDOWN = "markdown"


def settings(
    form: Annotated[Form, typer.Option(help="markdown is the table of the README.")] = Form.TEXT,
    as_json: Annotated[bool, typer.Option("--json", help="Answer as JSON.")] = False,
) -> None:
    """List every setting: its environment variable, its default, what it means."""
    if as_json:
        write_json(
            [
                {"variable": item.variable, "default": item.default or None, "description": item.description}
                for item in documented_settings()
            ]
        )
    elif form is Form.MARKDOWN:
        write(markdown_table())
    else:
        for item in documented_settings():
            default = f" (default {item.default})" if item.default else ""
            write(f"{item.variable}{default}\n    {item.description}")


def markdown_table() -> str:
    """The table of all settings in Markdown."""
    rows = ["| variable | default | meaning |", "|---|---|---|"]
    for item in documented_settings():
        default = f"`{item.default}`" if item.default else ""
        rows.append(f"| `{item.variable}` | {default} | {item.description} |")
    return "\n".join(rows)
