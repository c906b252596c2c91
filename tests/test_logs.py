"""Log lines, of ours and of libraries, for people and for machines."""

import json
import logging
from collections.abc import Iterator

import pytest
import structlog

from server.logs import configure_logs


@pytest.fixture(autouse=True)
def as_it_was() -> Iterator[None]:
    root = logging.getLogger()
    handlers, level = root.handlers[:], root.level
    yield
    structlog.reset_defaults()
    root.handlers[:] = handlers
    root.setLevel(level)


def fail(password: str) -> None:
    raise ValueError("no such account")


def log_a_failure() -> None:
    try:
        fail("secret-of-keytyh")
    except ValueError as error:
        structlog.get_logger("test").error("unexpected_exception", exc_info=error)


def test_json_is_one_object_a_line_with_the_request_id_and_no_local_variables(
    capsys: pytest.CaptureFixture[str],
) -> None:
    configure_logs("info", "json")
    with structlog.contextvars.bound_contextvars(request_id="r-1"):
        log_a_failure()
        logging.getLogger("some.library").warning("it is %s", "late")
    ours, theirs = (json.loads(line) for line in capsys.readouterr().err.splitlines())
    assert (ours["event"], ours["level"], ours["request_id"]) == ("unexpected_exception", "error", "r-1")
    assert ours["exception"][0]["exc_value"] == "no such account"
    assert (theirs["event"], theirs["level"], theirs["request_id"]) == ("it is late", "warning", "r-1")
    assert "secret-of-keytyh" not in json.dumps(ours)


def test_each_line_names_the_worker_where_there_are_several(capsys: pytest.CaptureFixture[str]) -> None:
    configure_logs("info", "json", worker=2)
    structlog.get_logger("test").info("ours")
    logging.getLogger("some.library").warning("theirs")
    assert [json.loads(line)["worker"] for line in capsys.readouterr().err.splitlines()] == [2, 2]


def test_text_shows_the_traceback_without_local_variables(capsys: pytest.CaptureFixture[str]) -> None:
    configure_logs("info", "text")
    log_a_failure()
    text = capsys.readouterr().err
    assert "unexpected_exception" in text
    assert "ValueError: no such account" in text
    assert "secret-of-keytyh" not in text.replace('fail("secret-of-keytyh")', "")


def test_nothing_below_the_level_is_written(capsys: pytest.CaptureFixture[str]) -> None:
    configure_logs("warning", "text")
    structlog.get_logger("test").info("quiet")
    logging.getLogger("some.library").info("quiet")
    assert capsys.readouterr().err == ""
