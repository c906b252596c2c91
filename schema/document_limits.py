"""How large a document may be, all its fragments spread out."""

import sys
from dataclasses import dataclass

from graphql import GraphQLError, OperationDefinitionNode
from graphql.language import (
    DocumentNode,
    FieldNode,
    FragmentDefinitionNode,
    FragmentSpreadNode,
    InlineFragmentNode,
    SelectionSetNode,
)

from schema.failures import FailureCode, RequestRefused, coded


@dataclass(frozen=True, slots=True, kw_only=True)
class DocumentLimits:
    """What one document may ask. ``selections_max`` counts fields with every fragment spread out."""

    characters_max: int = 100_000
    tokens_max: int = 10_000
    depth_max: int = 50
    aliases_max: int = 100
    selections_max: int = 5_000


@dataclass(slots=True)
class _Extent:
    """How far a selection set reaches, its fragments spread out."""

    depth: int = 0
    aliases: int = 0
    selections: int = 0

    def take(self, inner: "_Extent", *, levels: int = 0) -> None:
        self.depth = max(self.depth, inner.depth + levels)
        self.aliases += inner.aliases
        self.selections += inner.selections


def check_limits(document: DocumentNode, limits: DocumentLimits) -> None:
    """Raises: RequestRefused where an operation or fragment is too large, or a selection is empty."""
    extents = _Extents(document)
    for node in document.definitions:
        if not isinstance(node, OperationDefinitionNode | FragmentDefinitionNode):
            continue
        try:
            extent = extents.of_selections(node.selection_set)
        except RecursionError:  # a long chain of fragments; validation would give up on it as well
            extent = _Extent(depth=sys.getrecursionlimit())
        for found, most, what in (
            (extent.depth, limits.depth_max, "levels"),
            (extent.aliases, limits.aliases_max, "aliases"),
            (extent.selections, limits.selections_max, "fields"),
        ):
            if found > most:
                message = f"The document is too large: it has more than {most} {what}."
                raise RequestRefused([coded(GraphQLError(message, node), FailureCode.GRAPHQL_VALIDATION_FAILED)])


class _Extents:
    """Adds up by recursion: the parser has limited the nesting, and each fragment is worked out once."""

    def __init__(self, document: DocumentNode) -> None:
        definitions = document.definitions
        self._fragments = {node.name.value: node for node in definitions if isinstance(node, FragmentDefinitionNode)}
        self._known: dict[str, _Extent] = {}

    def of_selections(self, selection_set: SelectionSetNode) -> _Extent:
        if not selection_set.selections:
            # graphql-core takes `{ }` for a selection set and would answer an empty object.
            error = GraphQLError("A selection of fields cannot be empty.", selection_set)
            raise RequestRefused([coded(error, FailureCode.GRAPHQL_VALIDATION_FAILED)])
        extent = _Extent()
        for selection in selection_set.selections:
            if isinstance(selection, FieldNode):
                extent.selections += 1
                extent.aliases += selection.alias is not None
                nested = selection.selection_set
                extent.take(self.of_selections(nested) if nested else _Extent(), levels=1)
            elif isinstance(selection, InlineFragmentNode):
                extent.take(self.of_selections(selection.selection_set))
            elif isinstance(selection, FragmentSpreadNode):
                extent.take(self._of_fragment(selection.name.value))
        return extent

    def _of_fragment(self, name: str) -> _Extent:
        if name not in self._known:
            self._known[name] = _Extent()  # a spread that closes a circle adds nothing; validation reports it
            if name in self._fragments:
                self._known[name] = self.of_selections(self._fragments[name].selection_set)
        return self._known[name]
