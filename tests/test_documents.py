"""What a document may ask, and how documents are remembered."""

import pytest
from graphql import build_schema

from schema import documents as documents_module
from schema.document_limits import DocumentLimits
from schema.documents import Documents
from schema.failures import RequestRefused

SCHEMA = build_schema("type Query { me: Query name(of: [String!]): String }")
LIMITS = DocumentLimits(characters_max=2_000, tokens_max=200, depth_max=5, aliases_max=6, selections_max=20)


@pytest.fixture
def documents() -> Documents:
    return Documents(SCHEMA, LIMITS)


def refusal(documents: Documents, query: str) -> tuple[str, str]:
    """Code and message of the first error."""
    with pytest.raises(RequestRefused) as caught:
        documents.operation(query, None)
    error = caught.value.errors[0]
    return (error.extensions or {})["code"], error.message


def nested(levels: int) -> str:
    return "{ me " * (levels - 1) + "{ name }" + " }" * (levels - 1)


def aliased(count: int) -> str:
    return "{" + " ".join(f"a{number}: name" for number in range(count)) + "}"


@pytest.mark.parametrize(
    ("taken", "refused", "message"),
    [
        (nested(5), nested(6), "The document is too large: it has more than 5 levels."),
        (aliased(6), aliased(7), "The document is too large: it has more than 6 aliases."),
        (
            "{ ...F } fragment F on Query {" + " name" * 20 + " }",
            "{ ...F ... on Query { name } } fragment F on Query {" + " name" * 20 + " }",
            "The document is too large: it has more than 20 fields.",
        ),
        (
            "{ me { ...F } } fragment F on Query { me { me { name } } }",
            "{ me { ...F } } fragment F on Query { me { me { me { me { name } } } } }",
            "The document is too large: it has more than 5 levels.",
        ),
        (
            "{ me { ...F } me { ...F } } fragment F on Query { a: name b: name c: name }",
            "{ me { ...F } me { ...F ...F } } fragment F on Query { a: name b: name c: name }",
            "The document is too large: it has more than 6 aliases.",
        ),
    ],
)
def test_a_document_may_be_as_large_as_the_limits_and_no_larger(
    documents: Documents, taken: str, refused: str, message: str
) -> None:
    documents.operation(taken, None)
    assert refusal(documents, refused) == ("GRAPHQL_VALIDATION_FAILED", message)


@pytest.mark.parametrize(
    "query",
    [
        "{ name(of: [" + '"x" ' * 200 + "]) }",
        "# " + "x" * 2_000 + "\n{ name }",
        "#\n" * 201 + "{ name }",
        "{ name(of: " + "[" * 300 + "]" * 300 + ") }",
    ],
)
def test_a_text_with_too_many_tokens_comments_or_characters_is_not_parsed(documents: Documents, query: str) -> None:
    assert refusal(documents, query)[0] == "GRAPHQL_PARSE_FAILED"


def test_selections_cannot_be_empty(documents: Documents) -> None:
    message = ("GRAPHQL_VALIDATION_FAILED", "A selection of fields cannot be empty.")
    for query in ("{ }", "{ me { } }", "{ ... on Query { } }", "{ ...F } fragment F on Query { }"):
        assert refusal(documents, query) == message


def test_fragments_that_double_at_each_step_are_counted_without_being_spread_out() -> None:
    steps = 400
    doubling = "".join(f"fragment F{step} on Query {{ name ...F{step + 1} ...F{step + 1} }}" for step in range(steps))
    code, message = refusal(
        Documents(SCHEMA, DocumentLimits()), f"{{ ...F0 }} {doubling} fragment F{steps} on Query {{ name }}"
    )
    assert code == "GRAPHQL_VALIDATION_FAILED"
    assert message.startswith("The document is too large")


def test_fragments_in_a_circle_are_refused(documents: Documents) -> None:
    code, message = refusal(documents, "{ ...F } fragment F on Query { name ...F }")
    assert code == "GRAPHQL_VALIDATION_FAILED"
    assert "itself" in message


def test_a_text_is_checked_once(documents: Documents) -> None:
    first = documents.operation("{ name }", None)
    assert documents.operation("{ name }", None).document is first.document


@pytest.mark.parametrize(
    ("bound", "most"), [("_REMEMBERED_DOCUMENTS_MAX", 2), ("_REMEMBERED_CHARACTERS_MAX", 2 * len("{ a: name }"))]
)
def test_only_the_texts_that_were_used_last_are_remembered(
    documents: Documents, monkeypatch: pytest.MonkeyPatch, bound: str, most: int
) -> None:
    monkeypatch.setattr(documents_module, bound, most)
    first = documents.operation("{ a: name }", None).document
    second = documents.operation("{ b: name }", None).document
    assert documents.operation("{ a: name }", None).document is first
    documents.operation("{ c: name }", None)
    assert documents.operation("{ a: name }", None).document is first
    assert documents.operation("{ b: name }", None).document is not second


def test_what_is_refused_is_not_remembered(documents: Documents) -> None:
    for _ in range(2):
        assert refusal(documents, "{ nothing }")[0] == "GRAPHQL_VALIDATION_FAILED"
    assert not documents._remembered
