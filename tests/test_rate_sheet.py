"""A carrier's sheet is read as it comes: good lines become rates, every other line has its number and reason."""

import csv
from contextlib import suppress
from datetime import UTC, datetime

import pytest
from hypothesis import given
from hypothesis import strategies as st

from billing.money import format_rate
from billing.rate_changes import check_rates
from billing.rate_sheet import NotARateSheet, RateSheet, parse_rate_sheet
from tests.dirty_sheet import DIRTY


def rates(sheet: RateSheet) -> list[tuple[object, ...]]:
    return [
        (
            line,
            rate.price.prefix,
            rate.price.destination,
            format_rate(rate.price.price_per_minute_e8),
            rate.price.blocked,
        )
        for line, rate in sheet.rates
    ]


def reasons(sheet: RateSheet) -> dict[int, str]:
    return {rejected.line: rejected.reason for rejected in sheet.rejected}


def only_reason(lines: str) -> str:
    (rejected,) = parse_rate_sheet(lines.encode()).rejected
    return rejected.reason


def test_the_good_lines_of_a_dirty_sheet_become_rates() -> None:
    assert rates(parse_rate_sheet(DIRTY)) == [
        (2, "43", "Austria", "0.05000000", False),
        (3, "43664", "Austria-Mobile", "0.10000000", False),
        (4, "431", "Austria,Vienna", "0.04500000", False),
        (7, "86", "China", "0.00000000", True),
        (11, "49", "Germany", "0.02000000", False),
        (22, "32", None, "0.05000000", False),
        (24, "46", "Sweden", "0.10000000", False),
        (25, "45", "Denmark", "0.10000000", False),
    ]


def test_every_other_line_of_a_dirty_sheet_is_rejected_with_its_number_and_reason() -> None:
    sheet = parse_rate_sheet(DIRTY)
    assert reasons(sheet) == {
        5: "a spreadsheet has shortened the prefix to 5.41144E+11: its digits are lost",
        6: "'*1003' is no telephone prefix: only digits are",
        8: "'Initial Rate per Minute' says Blocked and 'Increment Rate Per Minute' says 0.2: "
        "a rate has one price per minute",
        9: "'Initial Rate per Minute' says 0.33 and 'Increment Rate Per Minute' says 0.1: "
        "a rate has one price per minute",
        13: "the prefix 36 stands on line 14 too, with other content",
        14: "the prefix 36 stands on line 13 too, with other content",
        15: "'0,03' has a comma: write a decimal point, and no thousands separator",
        16: "there is no price",
        17: "6 cells under 5 columns",
        18: "A price has at most 8 decimals, '1.000000001' has 9",
        19: "A price is 0 to 1000000, not -0.1",
        20: "the prefix 37201234567890123 has more than 15 digits",
        21: "'4470-4479' is more than one prefix: each needs a line of its own",
        23: "the line is no CSV: unexpected end of data",
        26: "there is no price",
    }
    assert sheet.rejected[0].text == "Austria Emergency Numbers,5.41144E+11,0.04,0.04,peak"
    assert sheet.repeated == 1


def test_no_line_is_lost() -> None:
    sheet = parse_rate_sheet(DIRTY)
    lines_with_content = [line for line in DIRTY.split(b"\r\n")[1:] if line]
    assert len(sheet.rates) + len(sheet.rejected) + sheet.repeated == len(lines_with_content)


def has_content(line: str) -> bool:
    try:
        return any(map(str.strip, next(csv.reader([line], strict=True), [])))
    except csv.Error:
        return True


cells = st.one_of(
    st.sampled_from(
        ["", " ", "43", "+43", "0043", "*1003", "5.4E+11", "0.05", ".05", "0,05", "Blocked", "60/6", "peak"]
    ),
    st.text(st.characters(exclude_characters="\r\n\0", exclude_categories=["Cs"]), max_size=8),
)


@given(st.lists(st.lists(cells, max_size=6), max_size=20))
def test_whatever_stands_in_the_lines_each_is_a_rate_a_repetition_or_rejected(rows: list[list[str]]) -> None:
    lines = [",".join(row) for row in rows]
    sheet = parse_rate_sheet("\n".join(["Code,Rate,Country,Increments,Time of day", *lines]).encode())
    assert len(sheet.rates) + len(sheet.rejected) + sheet.repeated == sum(map(has_content, lines))
    assert all(has_content(lines[rejected.line - 2]) for rejected in sheet.rejected)
    check_rates([line.rate for line in sheet.rates])


@given(st.binary(max_size=300))
def test_any_bytes_are_a_sheet_or_refused(data: bytes) -> None:
    with suppress(NotARateSheet):
        parse_rate_sheet(data)


@pytest.mark.parametrize(
    "header",
    [
        "Prefix;Destination;Rate",
        "\ufeffDial Code;Country;Price per minute",
        '"CODE";"Destination Name";"Rate/Min"',
        "Dialling code;Description;Cost (EUR)",
        "destination_prefix;zone;Rate € per minute",
    ],
)
def test_columns_are_known_by_the_names_that_the_trade_gives_them(header: str) -> None:
    sheet = parse_rate_sheet(f"{header}\n43;Austria;0.05\n".encode())
    assert rates(sheet) == [(2, "43", "Austria", "0.05000000", False)]


@pytest.mark.parametrize("delimiter", [",", ";", "\t", "|"])
def test_the_delimiter_is_the_one_that_parts_the_header(delimiter: str) -> None:
    text = "Carrier A\n\nCode,Name,Rate\n43,Austria,0.05\n".replace(",", delimiter)
    assert rates(parse_rate_sheet(text.encode())) == [(4, "43", "Austria", "0.05000000", False)]


@pytest.mark.parametrize(
    "data",
    [
        pytest.param("Code,Name,Rate\n225,Côte d’Ivoire,0.1\n".encode(), id="UTF-8"),
        pytest.param("Code,Name,Rate\n225,Côte d’Ivoire,0.1\n".encode("utf-8-sig"), id="UTF-8 with a mark"),
        pytest.param("Code,Name,Rate\n225,Côte d’Ivoire,0.1\n".encode("cp1252"), id="Windows-1252"),
        pytest.param("Code\tName\tRate\n225\tCôte d’Ivoire\t0.1\n".encode("utf-16"), id="UTF-16"),
        pytest.param("Code,Name,Rate\r225,Côte d’Ivoire,0.1\r".encode(), id="old Macintosh line ends"),
    ],
)
def test_a_sheet_may_have_any_usual_encoding(data: bytes) -> None:
    assert rates(parse_rate_sheet(data)) == [(2, "225", "Côte d’Ivoire", "0.10000000", False)]


def test_fee_increments_and_dates_are_taken_from_their_columns() -> None:
    sheet = parse_rate_sheet(
        b"Prefix,Rate,Connection fee,Billing increment,Effective date\n"
        b"43,0.05,0.01,30/6,2026-01-31\n"
        b"44,0.05,,60,2026-01-31T12:00:00+02:00\n"
        b"45,0.05,,,\n",
        increments_s=(60, 1),
    )
    prices = [line.rate.price for line in sheet.rates]
    assert [(p.connection_fee_e8, p.first_increment_s, p.next_increment_s) for p in prices] == [
        (1_000_000, 30, 6),
        (0, 60, 60),
        (0, 60, 1),
    ]
    assert [line.rate.effective_from for line in sheet.rates] == [
        datetime(2026, 1, 31, tzinfo=UTC),
        datetime(2026, 1, 31, 10, tzinfo=UTC),
        None,
    ]


def test_first_and_next_increment_may_have_a_column_each() -> None:
    sheet = parse_rate_sheet(b"Prefix,Rate,Interval 1,Interval N\n43,0.05,60,6\n")
    price = sheet.rates[0].rate.price
    assert (price.first_increment_s, price.next_increment_s) == (60, 6)


@pytest.mark.parametrize(
    ("line", "reason"),
    [
        ("43,0.05,1/2/3,,,", "'1/2/3' are no increments: such as 60/60 or 30/6 are"),
        ("43,0.05,0/60,,,", "'0' is no increment: 1 to 86400 whole seconds are"),
        ("43,0.05,,01/02/2026,,", "'01/02/2026' is no date like 2026-01-31, nor a time like 2026-01-31T12:00:00Z"),
        ("43,0.05,,2026-02-30,,", "there is no such day as 2026-02-30"),
        ("43,0.05,,1900-01-01,,", "the instant must lie between 1970 and 2200"),
        ("43,0.05,,,maybe,", "'maybe' says neither that the destination is blocked nor that it is not"),
        ("43,0.05,,,,USD", "the price is in USD, but the currency of this installation is EUR"),
        ("43,1e-5,,,,", "A price must be decimal text such as \"9.25000000\", not '1e-5'"),
        ("43,NaN,,,,", "A price must be decimal text such as \"9.25000000\", not 'NaN'"),
        (",0.05,,,,", "there is no prefix"),
        ("٤٣,0.05,,,,", "'٤٣' is no telephone prefix: only digits are"),
    ],
)
def test_a_cell_that_is_not_plainly_a_value_rejects_its_line(line: str, reason: str) -> None:
    assert only_reason(f"Prefix,Rate,Increments,Effective from,Blocked,Currency\n{line}\n") == reason


def test_a_column_of_its_own_may_say_that_a_destination_is_blocked() -> None:
    sheet = parse_rate_sheet(b"Prefix,Rate,Blocked\n43,0.05,no\n44,0.05,Yes\n")
    assert [line.rate.price.blocked for line in sheet.rates] == [False, True]


def test_a_price_for_some_hours_only_is_rejected() -> None:
    sheet = parse_rate_sheet(b"Code,Rate,Time of day\n43,0.05,peak\n44,0.05,off-peak\n")
    assert [line.rate.price.prefix for line in sheet.rates] == ["43"]
    assert reasons(sheet) == {3: "a price for 'off-peak' only: a rate holds all day"}


def test_a_prefix_whose_price_depends_on_the_hour_is_rejected_whole() -> None:
    sheet = parse_rate_sheet(b"Code,Rate,Time of day\n43,0.05,peak\n43,0.04,off-peak\n44,0.05,peak\n44,0.05,off-peak\n")
    assert [line.rate.price.prefix for line in sheet.rates] == ["44"]
    assert list(reasons(sheet)) == [2, 3]


def test_columns_without_a_meaning_are_named() -> None:
    sheet = parse_rate_sheet(b"Prefix,Country,Destination,Rate,ASR,\n43,Austria,Austria Mobile,0.05,98%,\n")
    assert rates(sheet) == [(2, "43", "Austria Mobile", "0.05000000", False)]
    assert sorted(sheet.header.ignored) == ["ASR", "Country"]


@pytest.mark.parametrize(
    ("data", "message"),
    [
        (b"", "the file is empty"),
        (b" \r\n\r\n", "the file is empty"),
        (b"hello\nworld\n", "none of the first 30 lines names a column of prefixes"),
        (b"Code,Rate (cents)\n43,5\n", "none of the first 30 lines"),
        (b"Code,Rate per second\n43,5\n", "none of the first 30 lines"),
        (b"43,0.05\n44,0.05\n", "none of the first 30 lines"),
        (b"PK\x03\x04rest of a workbook", "a spreadsheet's own format"),
        (b"\x89PNG\r\n\x1a\n\x00\x00\x00\rIHDR", "no text file"),
        (b"\xff\xfeodd", "no text file"),
        (b"Code,Prefix,Rate\n43,43,0.05\n", "the columns 'Code' and 'Prefix' could both be meant"),
        (b"Code,Rate (USD)\n43,0.05\n", "the prices are in USD, but the currency of this installation is EUR"),
        (b"Code,$ per minute\n43,0.05\n", "the prices are in USD"),
    ],
)
def test_a_file_that_is_no_rate_sheet_is_refused_in_one_line(data: bytes, message: str) -> None:
    with pytest.raises(NotARateSheet, match=message) as refused:
        parse_rate_sheet(data)
    assert "\n" not in str(refused.value)


def test_another_currency_is_right_where_the_installation_has_it() -> None:
    assert len(parse_rate_sheet(b"Code,Rate (USD)\n43,0.05\n", currency="USD").rates) == 1


def test_progress_is_told_line_by_line() -> None:
    told: list[tuple[int, int]] = []
    lines = "".join(f"{1_000_000 + i},0.05\n" for i in range(2_500))
    parse_rate_sheet(f"Code,Rate\n{lines}".encode(), on_lines=lambda done, total: told.append((done, total)))
    assert told == [(1_000, 2_502), (2_000, 2_502)]
