"""XLSX files by themselves: what numbers, texts and times become, more rows than a sheet holds, files left behind."""

import asyncio
import os
import re
import tempfile
import zipfile
from collections.abc import Sequence
from contextlib import aclosing
from datetime import UTC, datetime
from decimal import Decimal
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from resolvers.exports import Cell, CellKind, Column, Export
from server.exports.xlsx_file import SHEET_ROWS_MAX, XlsxBook, xlsx_blocks
from tests.exported import export_of, sheets

BIGINT_MAX = 2**63 - 1

# Of every length, not only of the longest.
whole_numbers = st.integers(0, 63).flatmap(lambda bits: st.integers(-(2**bits) + 1, 2**bits - 1))


def book_of(folder: Path, kinds: Sequence[CellKind], rows: Sequence[Sequence[Cell]], **limits: int) -> Path:
    """A finished file."""
    book = XlsxBook(folder, [Column(f"c{index}", kind) for index, kind in enumerate(kinds)], **limits)
    book.write(rows)
    book.finish()
    book.close()
    return book.path


def cells_of(folder: Path, kind: CellKind, *cells: Cell) -> list[Any]:
    """What one column of these cells is read back as."""
    (rows,) = sheets(book_of(folder, [kind], [[cell] for cell in cells]).read_bytes())
    return [row[0] for row in rows[1:]]


def sheet_xml(path: Path) -> str:
    """The first sheet as it stands in the file."""
    with zipfile.ZipFile(path) as file:
        return file.read("xl/worksheets/sheet1.xml").decode()


def test_amounts_and_prices_are_numbers_that_show_all_their_decimals(tmp_path: Path) -> None:
    assert cells_of(tmp_path, CellKind.MONEY, 925000, -35000, 1, 0) == [9.25, -0.35, 0.00001, 0]
    assert cells_of(tmp_path, CellKind.PRICE, 5000000, 1) == [0.05, 0.00000001]
    with zipfile.ZipFile(book_of(tmp_path, [CellKind.MONEY, CellKind.PRICE], [[1, 1]])) as file:
        styles = file.read("xl/styles.xml").decode()
    assert 'formatCode="0.00000"' in styles
    assert 'formatCode="0.00000000"' in styles


def test_an_amount_with_more_digits_than_a_number_keeps_is_text(tmp_path: Path) -> None:
    assert cells_of(tmp_path, CellKind.MONEY, 999_999_999_999_999, 1_234_567_890_123_456, -BIGINT_MAX) == [
        *(9_999_999_999.99999, "12345678901.23456", "-92233720368547.75807"),
    ]
    assert cells_of(tmp_path, CellKind.MONEY, 10**15, 123 * 10**15) == [10_000_000_000, 1_230_000_000_000]


@settings(max_examples=25, deadline=None)
@given(st.lists(whole_numbers, min_size=1, max_size=100))
def test_a_number_in_the_file_is_exact_and_stays_so_when_a_spreadsheet_makes_it_binary(values: list[int]) -> None:
    kinds = {CellKind.WHOLE: 0, CellKind.MONEY: 5, CellKind.PRICE: 8}
    with tempfile.TemporaryDirectory() as folder:
        sheet = sheet_xml(book_of(Path(folder), list(kinds), [[value] * 3 for value in values]))

    for row, value in enumerate(values, start=2):
        for column, decimals in zip("ABC", kinds.values(), strict=True):
            number = re.search(rf'<c r="{column}{row}" s="[0-9]+"><v>(.*?)</v></c>', sheet)
            assert (number is None) == (len(str(abs(value)).rstrip("0")) > 15)
            if number is not None:
                exact = Decimal(value).scaleb(-decimals)
                assert Decimal(number[1]) == exact
                assert Decimal(f"{float(number[1]):.15g}") == exact


def test_texts_stay_texts_whatever_they_look_like(tmp_path: Path) -> None:
    texts = [
        *("=1+1", "+436641234567", "-1", "@a", "00123", "12345678901234567890", "1e5", "TRUE", "2026-01-31"),
        *("http://a.example", "mailto:a@b.example", "  blanks  ", "Österreich 電話", "<b>&\"'", "one\ntwo"),
    ]

    assert cells_of(tmp_path, CellKind.TEXT, *texts) == texts
    sheet = sheet_xml(tmp_path / "export.xlsx")
    with zipfile.ZipFile(tmp_path / "export.xlsx") as file:
        assert not [name for name in file.namelist() if "rels" in name and "sheet" in name]
    assert "<f>" not in sheet
    assert sheet.count('t="inlineStr"') == len(texts) + 1


def test_a_text_that_looks_like_the_markup_of_the_file_is_not_taken_for_it(tmp_path: Path) -> None:
    assert cells_of(tmp_path, CellKind.TEXT, "<r><t>a</t></r>", "<r></c></r>") == ["'<r><t>a</t></r>", "'<r></c></r>"]


def test_characters_that_no_xml_may_hold_are_escaped(tmp_path: Path) -> None:
    sheet = sheet_xml(book_of(tmp_path, [CellKind.TEXT], [["a\x01b"], ["_x0041_"], ["a\ufffeb"]]))

    assert re.findall(r"<t[^>]*>(.*?)</t>", sheet)[1:] == ["a_x0001_b", "_x005F_x0041_", "a_xFFFE_b"]


def test_times_are_dates_in_utc_and_those_before_the_calendar_begins_are_text(tmp_path: Path) -> None:
    times = [datetime(2026, 1, 31, 12, 0, 1, tzinfo=UTC), datetime(1900, 3, 1, tzinfo=UTC)]
    early = datetime(1900, 2, 28, tzinfo=UTC)

    assert cells_of(tmp_path, CellKind.INSTANT, *times, early) == [*times, "1900-02-28T00:00:00Z"]


def test_rows_beyond_a_full_sheet_go_on_in_the_next_one_under_the_same_header(tmp_path: Path) -> None:
    path = book_of(tmp_path, [CellKind.WHOLE], [[number] for number in range(1, 6)], sheet_rows_max=3)

    assert sheets(path.read_bytes()) == [[["c0"], [1], [2]], [["c0"], [3], [4]], [["c0"], [5]]]
    assert SHEET_ROWS_MAX == 2**20


async def test_its_files_are_gone_after_the_last_byte_and_when_the_reader_leaves_early(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path))
    rows: list[list[Cell]] = [[f"{number} {number**9}"] for number in range(20_000)]

    blocks = [block async for block in xlsx_blocks(export_of({"a": CellKind.TEXT}, rows))]
    assert len(blocks) > 2
    assert os.listdir(tmp_path) == []
    async with aclosing(xlsx_blocks(export_of({"a": CellKind.TEXT}, rows))) as leaving:
        await anext(leaving)
        assert len(os.listdir(tmp_path)) == 1
    assert os.listdir(tmp_path) == []


async def test_its_files_are_gone_when_it_is_cancelled_while_it_reads(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path))
    waiting = asyncio.Event()

    async def pages():  # type: ignore[no-untyped-def]
        yield [["a"]]
        waiting.set()
        await asyncio.Event().wait()

    reading = asyncio.ensure_future(anext(xlsx_blocks(Export((Column("a", CellKind.TEXT),), pages()))))
    await waiting.wait()
    assert len(os.listdir(tmp_path)) == 1
    reading.cancel()
    await asyncio.wait([reading])
    assert reading.cancelled()
    assert os.listdir(tmp_path) == []


def test_an_abandoned_file_is_left_unfinished_at_once(tmp_path: Path) -> None:
    book = XlsxBook(tmp_path, [Column("a", CellKind.TEXT)])
    book.write([["a"]] * 1000)
    book.abandon()
    book.finish()
    book.close()

    assert book.path.stat().st_size == 0
