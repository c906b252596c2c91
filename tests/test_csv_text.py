"""CSV by itself: quotes, line ends, and texts that a spreadsheet would run. Whole exports are in test_export_*.py."""

import csv
import io
from datetime import UTC, datetime

import pytest
from hypothesis import given
from hypothesis import strategies as st

from billing.spreadsheet_text import defused, original
from resolvers.exports import Cell, CellKind
from server.exports.csv_text import csv_blocks
from tests.exported import BOM, export_of

texts = st.text(st.characters(exclude_characters="\0", exclude_categories=("Cs",)))


async def written(kinds: dict[str, CellKind], *pages: list[list[Cell]]) -> bytes:
    return b"".join([block async for block in csv_blocks(export_of(kinds, *pages))])


async def test_every_kind_of_cell_has_its_text_and_an_absent_one_has_none() -> None:
    kinds = {kind.lower(): kind for kind in CellKind}
    at = datetime(2026, 1, 31, 12, tzinfo=UTC)

    file = await written(kinds, [["Vienna", 60, -35000, 7000000, at, True], [None] * 6], [["", 0, 0, 0, at, False]])

    assert file == BOM + (
        b"text,whole,money,price,instant,flag\r\n"
        b"Vienna,60,-0.35000,0.07000000,2026-01-31T12:00:00Z,true\r\n"
        b",,,,,\r\n"
        b",0,0.00000,0.00000000,2026-01-31T12:00:00Z,false\r\n"
    )


async def test_an_export_without_rows_is_its_header() -> None:
    assert await written({"a": CellKind.TEXT, "b": CellKind.WHOLE}, []) == BOM + b"a,b\r\n"


async def test_commas_quotes_and_line_ends_stay_inside_their_cell() -> None:
    file = await written({"a": CellKind.TEXT, "b": CellKind.TEXT}, [['say "hi"', "a,b"], ["one\r\ntwo", "Österreich"]])

    assert file == BOM + 'a,b\r\n"say ""hi""","a,b"\r\n"one\r\ntwo",Österreich\r\n'.encode()


@pytest.mark.parametrize(
    "text",
    [
        *("'=1", "''=1", "=1+1", "+1+1", "-1+1", "@SUM(A1)", "\t=1", "\r=1", "\n=1", " =1", "\u00a0=1", "-"),
        *("＝1+1", "＋1+1", "－1+1", "＠SUM(A1)", "+43 1;=1", "+43-1", '=HYPERLINK("http://a.example")', "-1"),
    ],
)
def test_what_a_spreadsheet_would_run_gets_an_apostrophe(text: str) -> None:
    assert defused(text) == f"'{text}"


@pytest.mark.parametrize(
    "text", ["", "a=b", "keytyh*good", "1-2", "00123", "+436641234567", "+43 664 1234567", "'s-Hertogenbosch"]
)
def test_other_texts_and_telephone_numbers_stay_as_they_are(text: str) -> None:
    assert defused(text) == text


@given(st.one_of(texts, st.text("'=+-@ \t3")))
def test_every_text_can_be_read_back(text: str) -> None:
    assert original(defused(text)) == text


async def test_a_negative_amount_stays_a_number_and_a_text_that_looks_like_one_does_not() -> None:
    file = await written({"amount": CellKind.MONEY, "remark": CellKind.TEXT}, [[-100000, "-1.00000"]])

    assert file == BOM + b"amount,remark\r\n-1.00000,'-1.00000\r\n"


@given(st.lists(st.tuples(texts, texts)))
async def test_whatever_the_texts_a_reader_gets_them_back_behind_their_apostrophes(rows: list[tuple[str, str]]) -> None:
    file = await written({"a": CellKind.TEXT, "b": CellKind.TEXT}, [list(row) for row in rows])

    _, *read = csv.reader(io.StringIO(file.decode("utf-8-sig"), newline=""), strict=True)
    assert read == [[defused(cell) for cell in row] for row in rows]
