"""Exports as their readers have them: a request, the rows of a CSV file, the sheets of an XLSX file."""

import csv
import io
from datetime import UTC, datetime
from typing import Any

import httpx
import openpyxl

from resolvers.exports import Cell, CellKind, Column, Export
from tests.graphql_client import Api, Person

BOM = b"\xef\xbb\xbf"


async def get(api: Api, file: str, *, by: Any = None, **parameters: str) -> httpx.Response:
    """The answer to a request for a file; ``by`` is a `Person`, a token, or None for somebody not signed in."""
    token = by.token if isinstance(by, Person) else by
    headers = {"authorization": f"Bearer {token}"} if token is not None else {}
    return await api.client.get(f"/export/{file}", params=parameters, headers=headers)


async def csv_of(api: Api, kind: str, *, by: Any, **parameters: str) -> list[list[str]]:
    """The rows of a CSV export, header first."""
    response = await get(api, f"{kind}.csv", by=by, **parameters)
    assert response.status_code == 200, response.text
    return list(csv.reader(io.StringIO(response.content.decode("utf-8-sig"), newline="")))


async def column_of(api: Api, kind: str, name: str, *, by: Any, **parameters: str) -> list[str]:
    """One column of a CSV export, without its header."""
    header, *rows = await csv_of(api, kind, by=by, **parameters)
    return [row[header.index(name)] for row in rows]


async def xlsx_of(api: Api, kind: str, *, by: Any, **parameters: str) -> list[list[Any]]:
    """The cells of the one sheet of an XLSX export, header first."""
    response = await get(api, f"{kind}.xlsx", by=by, **parameters)
    assert response.status_code == 200, response.text
    (sheet,) = sheets(response.content)
    return sheet


def sheets(file: bytes) -> list[list[list[Any]]]:
    """The values of every cell of every sheet, as openpyxl reads them; times, which have no zone there, in UTC."""
    book = openpyxl.load_workbook(io.BytesIO(file))
    return [[list(map(_value, row)) for row in sheet.iter_rows()] for sheet in book.worksheets]


def _value(cell: Any) -> Any:
    return cell.value.replace(tzinfo=UTC) if isinstance(cell.value, datetime) else cell.value


async def failure_of(response: httpx.Response) -> tuple[int, str, str]:
    """Status, code and message of an export that was refused."""
    (error,) = response.json()["errors"]
    assert response.headers["content-type"] == "application/json; charset=utf-8"
    assert error["extensions"]["requestId"] == response.headers["x-request-id"]
    return response.status_code, error["extensions"]["code"], error["message"]


def export_of(kinds: dict[str, CellKind], *pages: list[list[Cell]]) -> Export:
    """An export with these rows."""

    async def every_page():  # type: ignore[no-untyped-def]
        for page in pages:
            yield page

    return Export(tuple(Column(name, kind) for name, kind in kinds.items()), every_page())
