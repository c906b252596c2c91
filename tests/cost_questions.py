"""Any query of nested objects, and how many nodes an answer to it has."""

from typing import Any, NamedTuple

from graphql import GraphQLObjectType, get_named_type
from graphql.type import is_composite_type, is_required_argument
from hypothesis import strategies as st

from schema.assembled import schema

_LEVELS_MAX = 4
_CONNECTION = "Connection"
# Every object says what it is, so that the answer can be counted.
_TYPENAME = "__typename"
_ARGUMENTS = {
    "rates": ('search: "austria"', 'at: "2020-01-01T00:00:00Z"', 'prefix: "43"'),
    "calls": ("direction: ASC", 'number: "43"'),
    "customers": ("orderBy: {field: CREATED_AT}", "filter: {isReseller: true}"),
    "descendants": ("maxDepth: 1", "filter: {blocked: false}"),
}

_VARIABLES = {
    "username": "String",
    "callId": "String!",
    "id": "ID!",
    "size": "Int = 2",
    "one": "Int",
    "with": "Boolean!",
}


class Question(NamedTuple):
    """A query; ``variables`` are those that it may use."""

    query: str
    variables: dict[str, Any]


@st.composite
def questions(draw: st.DrawFn) -> Question:
    """A query about the viewer, or about the account or the call that a variable names."""
    core = schema._schema
    account, call = (core.type_map[name] for name in ("Account", "Call"))
    roots = {
        "viewer": _selection(draw, account, 0),
        "account(username: $username)": _selection(draw, account, 0),
        "call(callId: $callId)": _selection(draw, call, 0),
        "node(id: $id)": f"{{ {_TYPENAME} id ... on Account {_selection(draw, account, 0)} }}",
    }
    chosen = draw(st.lists(st.sampled_from(sorted(roots)), min_size=1, max_size=2, unique=True))
    fields = " ".join(f"{root} {roots[root]}" for root in chosen)
    declared = ", ".join(f"${name}: {kind}" for name, kind in _VARIABLES.items() if f"${name}" in fields)
    variables: dict[str, Any] = {"with": draw(st.booleans()), "one": draw(st.sampled_from([None, 1]))}
    if draw(st.booleans()):
        variables["size"] = draw(st.sampled_from([None, 1, 4]))
    return Question(f"query {f'({declared})' if declared else ''} {{ {_TYPENAME} {fields} }}", variables)


def _selection(draw: st.DrawFn, type_: Any, level: int) -> str:
    assert isinstance(type_, GraphQLObjectType)
    names = [
        name
        for name, field in sorted(type_.fields.items())
        if is_composite_type(get_named_type(field.type)) and not any(map(is_required_argument, field.args.values()))
    ]
    fields = [_TYPENAME]
    if names and level < _LEVELS_MAX:
        for name in draw(st.lists(st.sampled_from(names), max_size=3)):
            fields.append(_field(draw, type_, name, level, alias=f"f{len(fields)}"))
    return f"{{ {' '.join(fields)} }}"


def _field(draw: st.DrawFn, type_: GraphQLObjectType, name: str, level: int, *, alias: str) -> str:
    answer = get_named_type(type_.fields[name].type)
    assert isinstance(answer, GraphQLObjectType)
    when = draw(st.sampled_from(["", "", "@include(if: $with)", "@skip(if: $with)"]))
    if not answer.name.endswith(_CONNECTION):
        return f"{alias}: {name} {when} {_selection(draw, answer, level + 1)}"
    size = draw(st.sampled_from(["", "first: 1", "first: 3", "last: 2", "first: $size", "last: $size", "first: $one"]))
    arguments = [size, *draw(st.lists(st.sampled_from(_ARGUMENTS.get(name, ("",))), max_size=1))]
    entry = get_named_type(answer.fields["nodes"].type)
    edges = f"edges {{ {_TYPENAME} node {_selection(draw, entry, level + 1)} }}"
    nodes = f"nodes {_selection(draw, entry, level + 1)}"
    page = draw(st.sampled_from([nodes, edges, f"{edges} {nodes}", f"pageInfo {{ {_TYPENAME} }}"]))
    given = ", ".join(filter(None, arguments))
    return f"{alias}: {name}{f'({given})' if given else ''} {when} {{ {_TYPENAME} {page} }}"


def nodes_of(answer: Any) -> int:
    """How many objects an answer has. Edges, page infos and addresses are parts of others; a page is there once."""
    if isinstance(answer, list):
        return sum(map(nodes_of, answer))
    if not isinstance(answer, dict):
        return 0
    kind = answer[_TYPENAME]
    below = sum(map(nodes_of, answer.values()))
    if kind.endswith(_CONNECTION):
        return below - min(len(answer.get("edges", ())), len(answer.get("nodes", ())))
    return below + (not kind.endswith("Edge") and kind not in ("Query", "PageInfo", "Address"))
