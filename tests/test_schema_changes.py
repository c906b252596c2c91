"""The schema is compared with the last released one: no client breaks unless that is meant."""

from pathlib import Path

import pytest

from schema.assembled import export_schema
from tests.schema_changes import as_text, complaints, newest_release

RELEASED = Path(__file__).parent.parent / "docs" / "released"

# What breaks clients of the last release and is meant to: the text as the test prints it after the colon, and why.
DELIBERATE_BREAKS: dict[str, str] = {}

BASE = """
type Query { viewer: Account! call(callId: String!): Call }
type Account { username: String! balance: String! kind: Kind }
type Call { id: ID! }
enum Kind { CUSTOMER RESELLER }
"""


def test_nothing_that_was_released_breaks() -> None:
    release = newest_release(RELEASED)
    if release is None:
        # Before the first release nothing is promised, so nothing can be an exception either.
        assert DELIBERATE_BREAKS == {}
        return
    found = complaints(release.read_text(), export_schema(), DELIBERATE_BREAKS)
    assert not found, as_text(found, release.name)


def test_the_schema_of_today_could_be_released() -> None:
    assert complaints(export_schema(), export_schema(), {}) == []


@pytest.mark.parametrize(
    ("before", "after", "complaint"),
    [
        ("balance: String! ", "", "FIELD_REMOVED: Field Account.balance was removed."),
        (
            "balance: String!",
            "balance: String",
            "FIELD_CHANGED_KIND: Field Account.balance changed type from String! to String.",
        ),
        (
            "callId: String!",
            "callId: String!, number: String!",
            "REQUIRED_ARG_ADDED: A required argument Query.call(number:) was added.",
        ),
        (" RESELLER", "", "VALUE_REMOVED_FROM_ENUM: Enum value Kind.RESELLER was removed."),
    ],
)
def test_a_break_is_named(before: str, after: str, complaint: str) -> None:
    assert complaints(BASE, BASE.replace(before, after), {}) == [complaint]


@pytest.mark.parametrize(
    ("before", "after"),
    [
        ("username: String!", "username: String! held: String!"),
        ("callId: String!", "callId: String!, number: String"),
        ("kind: Kind", "kind: Kind!"),
        # Dangerous for whoever lists all values, and yet how an API grows.
        ("RESELLER", "RESELLER OPERATOR"),
    ],
)
def test_what_is_added_is_no_break(before: str, after: str) -> None:
    assert complaints(BASE, BASE.replace(before, after), {}) == []


def test_a_break_that_is_meant_is_allowed_as_long_as_there_is_one() -> None:
    broken = BASE.replace("balance: String! ", "")
    allowed = {"Field Account.balance was removed.": "nobody has used it"}
    assert complaints(BASE, broken, allowed) == []
    assert complaints(BASE, BASE, allowed) == [
        "allowed, but there is no such break: Field Account.balance was removed."
    ]


def test_the_complaints_read_as_a_list() -> None:
    broken = BASE.replace("balance: String! ", "").replace(" RESELLER", "")
    assert as_text(complaints(BASE, broken, {}), "schema-0.1.0.graphql") == (
        "Since schema-0.1.0.graphql the schema has changed so that clients break:\n"
        "  - FIELD_REMOVED: Field Account.balance was removed.\n"
        "  - VALUE_REMOVED_FROM_ENUM: Enum value Kind.RESELLER was removed.\n"
        "Add instead of changing, and deprecate; a break that is meant goes into DELIBERATE_BREAKS with its reason."
    )


def test_the_newest_release_is_the_one_of_the_highest_version(tmp_path: Path) -> None:
    assert newest_release(tmp_path) is None
    for name in ("schema-0.9.0.graphql", "schema-0.10.0.graphql", "schema-0.2.11.graphql", "README.md"):
        (tmp_path / name).write_text(BASE)
    assert newest_release(tmp_path) == tmp_path / "schema-0.10.0.graphql"
