"""What a benchmark answers: figures with their rounds, as a table for people and as JSON for programs."""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

Row = Mapping[str, str | int | float | None]


@dataclass(frozen=True)
class Options:
    """How long to measure. ``quick`` only shows that everything runs: its figures mean nothing.

    ``large``: also what takes many minutes and gigabytes (10 M calls, 1 M accounts).
    """

    quick: bool = False
    seed: int = 20260131
    rounds: int = 3
    large: bool = False


@dataclass(frozen=True)
class Report:
    """One benchmark's figures.

    ``rows`` have the same keys, which head the columns; ``notes`` say what the figures do not. Anything in ``alarms``
    makes all of it worthless.
    """

    name: str
    title: str
    rows: Sequence[Row]
    notes: Sequence[str]
    alarms: Sequence[str] = ()
    facts: Mapping[str, Any] = field(default_factory=dict)

    def as_json(self) -> dict[str, Any]:
        """For programs."""
        return {
            "benchmark": self.name,
            "title": self.title,
            "facts": dict(self.facts),
            "rows": [dict(row) for row in self.rows],
            "notes": list(self.notes),
            "alarms": list(self.alarms),
        }

    def as_text(self) -> str:
        """For people."""
        lines = [self.title, "=" * len(self.title), "", *_table(self.rows), ""]
        lines += [f"{name}: {value}" for name, value in self.facts.items()]
        lines += ["", "What these figures do not say:", *(f"  - {note}" for note in self.notes)]
        return "\n".join([*lines, *(f"\n!!! {alarm} !!!" for alarm in self.alarms)])

    def as_markdown(self) -> str:
        """For a page."""
        names = list(self.rows[0])
        lines = [f"## {self.title}", "", *(f"**{alarm}**\n" for alarm in self.alarms)]
        lines += [_markdown_row(names), _markdown_row(["---", *("---:" for _ in names[1:])])]
        lines += [_markdown_row([_cell(row[name]) for name in names]) for row in self.rows]
        lines += ["", *(f"- {name}: {value}" for name, value in self.facts.items())]
        return "\n".join([*lines, "", "What these figures do not say:", "", *(f"- {note}" for note in self.notes)])


def as_page(machine: Mapping[str, str], reports: Iterable[Report]) -> str:
    """`docs/performance.md`: every figure of one run, with the machine, the date, the command and the peers."""
    lines = ["# Performance", "", "Written by `make bench`; every figure is of one run on one machine.", ""]
    lines += [_markdown_row(["", ""]), _markdown_row(["---", "---"])]
    lines += [_markdown_row([name, value]) for name, value in machine.items()]
    return "\n".join([*lines, *(f"\n{report.as_markdown()}" for report in reports), ""])


def _markdown_row(cells: Sequence[str]) -> str:
    return f"| {' | '.join(cells)} |"


def _table(rows: Sequence[Row]) -> Iterable[str]:
    names = list(rows[0])
    cells = [names, *([_cell(row[name]) for name in names] for row in rows)]
    widths = [max(map(len, column)) for column in zip(*cells, strict=True)]
    for number, row in enumerate(cells):
        first, *rest = zip(row, widths, strict=True)
        yield "  ".join([first[0].ljust(first[1]), *(cell.rjust(width) for cell, width in rest)]).rstrip()
        if number == 0:
            yield "  ".join("-" * width for width in widths)


def _cell(value: str | int | float | None) -> str:
    if value is None:
        return "-"
    if isinstance(value, str):
        return value
    return f"{value:,.0f}" if abs(value) >= 100 or isinstance(value, int) else f"{value:.3g}"
