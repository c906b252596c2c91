"""Texts in CSV files that spreadsheets open: nothing in them is run, and each can be read back. Pure."""

import re

# What a spreadsheet would run, or would take apart (OWASP, "CSV Injection"), also in the wide forms of East Asia; and
# what looks as if it had been defused, so that the apostrophe that is read back is always ours.
_FORMULA = re.compile(r"'*(?:[\t\r\n]|\s*[=+\-@＝＋－＠])")
# A telephone number computes nothing, and is to be read.
_TELEPHONE = re.compile(r"\+[0-9 ]+", re.ASCII)


def defused(text: str) -> str:
    """The text, behind an apostrophe where a spreadsheet would run it as a formula."""
    return f"'{text}" if _is_defused(text) else text


def original(text: str) -> str:
    """The text of which this is `defused`."""
    return text[1:] if text.startswith("'") and _is_defused(text[1:]) else text


def _is_defused(text: str) -> bool:
    return _FORMULA.match(text) is not None and _TELEPHONE.fullmatch(text) is None
