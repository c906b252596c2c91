"""Reading a switch's file of calls: both forms, and every line that cannot be a call with its reason."""

from datetime import UTC, datetime
from zoneinfo import ZoneInfo

import pytest

from billing.call_records import (
    LINE_CHARS_MAX,
    CallRecord,
    Line,
    NotAnswered,
    NotCallRecords,
    RejectedLine,
    read_call_records,
)
from tests.call_files import OWN_HEADER, asterisk, own

NOON = datetime(2026, 1, 31, 12, tzinfo=UTC)


def read(*lines: str, zone: str = "UTC") -> list[Line]:
    return list(read_call_records([line + "\n" for line in lines], timezone=ZoneInfo(zone)))


def fields(line: Line) -> tuple[object, ...]:
    """A record without its line and text."""
    assert isinstance(line, CallRecord), line
    return line[2:]


def reasons(lines: list[Line]) -> list[tuple[int, str]]:
    """Number and reason of each rejected line; there are no others."""
    return [(line.line, line.reason) for line in lines if isinstance(line, RejectedLine)]


def test_a_line_of_the_own_form_is_a_call() -> None:
    (record,) = read(OWN_HEADER, "c-1,keytyh*good,+43 1 234,+43 1 999,2026-01-31T12:00:00Z,61")
    assert fields(record) == ("c-1", "keytyh*good", "+43 1 234", "+43 1 999", NOON, 61)
    assert (record.line, isinstance(record, CallRecord) and record.text) == (
        2,
        "c-1,keytyh*good,+43 1 234,+43 1 999,2026-01-31T12:00:00Z,61",
    )


@pytest.mark.parametrize("delimiter", [",", ";", "\t"])
def test_columns_come_in_any_order_and_case_and_others_are_left_alone(delimiter: str) -> None:
    header = ["DurationSeconds", "trunk", "CALLID", '"number"', " startedat ", "username"]
    line = ["7", "a trunk", "c-1", "431234", "2026-01-31 12:00", "keytyh*good"]
    (record,) = read(delimiter.join(header), delimiter.join(line))
    assert fields(record) == ("c-1", "keytyh*good", "431234", None, NOON, 7)


def test_a_line_of_asterisk_begins_at_answer_and_lasts_billsec() -> None:
    (record,) = read(asterisk("1769860791.42", "keytyh*good", billsec=61))
    assert fields(record) == ("1769860791.42", "keytyh*good", "00431234", "101", NOON, 61)


def test_further_columns_of_asterisk_are_left_alone() -> None:
    (record,) = read(asterisk("1.1", "keytyh*good") + ',"","1.1",7')
    assert fields(record)[0] == "1.1"


@pytest.mark.parametrize(
    "line",
    [
        asterisk("1.1", "keytyh*good", billsec=0),
        asterisk("1.1", "keytyh*good", disposition="NO ANSWER", billsec=5),
        asterisk("1.1", "", disposition="BUSY", answer="", billsec=0),
    ],
    ids=["nothing talked", "no answer", "busy"],
)
def test_asterisk_s_lines_of_calls_that_nobody_answered_are_no_calls(line: str) -> None:
    assert read(line) == [NotAnswered(1)]


def test_a_call_of_0_s_in_the_own_form_is_a_call() -> None:
    assert fields(read(OWN_HEADER, own("c", "a", seconds=0))[0])[-1] == 0


@pytest.mark.parametrize(
    ("text", "zone", "utc"),
    [
        ("2026-07-01 12:00:00", "Europe/Vienna", "2026-07-01T10:00:00+00:00"),
        ("2026-07-01T12:00:00+05:30", "Europe/Vienna", "2026-07-01T06:30:00+00:00"),
        ("2026-10-25 02:30:00", "Europe/Vienna", "2026-10-25T00:30:00+00:00"),
        ("2026-10-25 03:00:00", "Europe/Vienna", "2026-10-25T02:00:00+00:00"),
        ("2026-07-01t12:00:00.25z", "Europe/Vienna", "2026-07-01T12:00:00.250000+00:00"),
    ],
    ids=["local", "its own zone", "the hour that comes twice", "after it", "small letters"],
)
def test_times_without_a_zone_are_in_the_file_s(text: str, zone: str, utc: str) -> None:
    (record,) = read(OWN_HEADER, own("c", "a", at=text), zone=zone)
    assert isinstance(record, CallRecord)
    assert record.started_at.isoformat() == utc


@pytest.mark.parametrize(
    ("line", "reason"),
    [
        (own("", "a"), "it has no callId"),
        (own("c", " "), "it has no username"),
        (own("c", "a", number=""), "it has no number"),
        (own("c", "a", seconds="-1"), "durationSeconds is no whole number of seconds: '-1'"),
        (own("c", "a", seconds="1.5"), "durationSeconds is no whole number of seconds: '1.5'"),
        (own("c", "a", seconds="1e3"), "durationSeconds is no whole number of seconds: '1e3'"),
        (own("c", "a", seconds="٣"), "durationSeconds is no whole number of seconds: '٣'"),
        (own("c", "a", at="2026-01-31"), "startedAt is no time such as 2026-01-31 12:00:00: '2026-01-31'"),
        (
            own("c", "a", at="2026-01-31T12:00:00.1234567Z"),
            "startedAt has more than 6 decimals of a second: '2026-01-31T12:00:00.1234567Z'",
        ),
        (own("c", "a", at="yesterday"), "startedAt is no time such as 2026-01-31 12:00:00: 'yesterday'"),
        (own("c", "a", at="2026-02-30 12:00"), "startedAt is a time that there is not: '2026-02-30 12:00'"),
        (own("c", "a", at="0001-01-01T00:00+02:00"), "startedAt is a time that there is not: '0001-01-01T00:00+02:00'"),
        (own("c", "a") + ",more", "it has 7 columns, the header has 6"),
        ("c,a", "it has 2 columns, the header has 6"),
        ('"c,a,431234,,2026-01-31T12:00:00Z,60', "its quotes do not match"),
        (own("c", "a" * LINE_CHARS_MAX), "it is too long"),
    ],
)
def test_a_line_of_the_own_form_that_cannot_be_a_call_is_rejected_alone(line: str, reason: str) -> None:
    lines = read(OWN_HEADER, own("before", "a"), line, own("after", "a"))
    assert reasons(lines) == [(3, reason)]
    assert [fields(line)[0] for line in lines if isinstance(line, CallRecord)] == ["before", "after"]


@pytest.mark.parametrize(
    ("line", "reason"),
    [
        (asterisk("", "a"), "it has no uniqueid (loguniqueid in cdr.conf)"),
        (asterisk("1.2", ""), "it has no accountcode"),
        (asterisk("1.2", "a", dst=""), "it has no dst"),
        (asterisk("1.2", "a", answer=""), "answer is no time such as 2026-01-31 12:00:00: ''"),
        (asterisk("1.2", "a", billsec="x"), "billsec is no whole number of seconds: 'x'"),
        ("a,b,c", "it has 3 columns, Master.csv has 16 and more"),
        (",".join(asterisk("1.2", "a").split(",")[:-2]), "it has no uniqueid (loguniqueid in cdr.conf)"),
    ],
)
def test_a_line_of_asterisk_that_cannot_be_a_call_is_rejected_alone(line: str, reason: str) -> None:
    lines = read(asterisk("1.1", "a"), line, asterisk("1.3", "a"))
    assert reasons(lines) == [(2, reason)]
    assert [fields(line)[0] for line in lines if isinstance(line, CallRecord)] == ["1.1", "1.3"]


def test_blank_lines_are_passed_over_and_the_others_keep_their_numbers() -> None:
    lines = read("", OWN_HEADER, "", own("c", "a"), "  ", own("d", "a", seconds="x"))
    assert [line.line for line in lines] == [4, 6]


def test_a_rejected_line_is_shown_without_what_a_terminal_would_obey() -> None:
    (line,) = read(OWN_HEADER, "\x1b[2Jc,\udcff,431234,,never,60")
    assert isinstance(line, RejectedLine)
    assert line.text == " [2Jc,?,431234,,never,60"


@pytest.mark.parametrize(
    ("lines", "message"),
    [
        ([], "it is empty"),
        (["", "  "], "it is empty"),
        (["Dear Sir or Madam"], "its first line is neither a header with callId"),
        (["callId,username,number,startedAt"], "its first line is neither a header with callId"),
        (["\x89PNG\0" + "," * 30], "its first line is neither a header with callId"),
        ([OWN_HEADER + ",callid"], "its header has the column callid twice"),
    ],
    ids=["nothing", "blanks", "a letter", "a column is missing", "a picture", "a column twice"],
)
def test_a_file_that_is_something_else_is_refused_as_a_whole(lines: list[str], message: str) -> None:
    with pytest.raises(NotCallRecords, match=message):
        read(*lines)
