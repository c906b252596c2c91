"""Connections: keyset pages with opaque cursors, the same way everywhere."""

from collections.abc import Callable
from typing import Annotated, Any, Generic, TypeVar

import strawberry

from resolvers.pages import Page, PageRequest, page_request

__all__ = ["After", "Before", "Connection", "Edge", "First", "Last", "PageInfo", "connection", "page_request"]

NodeType = TypeVar("NodeType")
Row = TypeVar("Row")

First = Annotated[int | None, strawberry.argument(description="How many from the start, or after `after`.")]
After = Annotated[str | None, strawberry.argument(description="A cursor: the page begins right after it.")]
Last = Annotated[int | None, strawberry.argument(description="How many from the end, or before `before`.")]
Before = Annotated[str | None, strawberry.argument(description="A cursor: the page ends right before it.")]


@strawberry.type(description="Where a page lies in its list.")
class PageInfo:
    has_next_page: bool = strawberry.field(description="Whether more follow after this page.")
    has_previous_page: bool = strawberry.field(description="Whether more lie before this page.")
    start_cursor: str | None = strawberry.field(description="The cursor of the first entry; null on an empty page.")
    end_cursor: str | None = strawberry.field(description="The cursor of the last entry; null on an empty page.")


@strawberry.type(description="An entry of a list, with its cursor.")
class Edge(Generic[NodeType]):
    node: NodeType = strawberry.field(description="The entry itself.")
    cursor: str = strawberry.field(description="Where the entry stands, for `after` and `before`.")


@strawberry.type(description="One page of a list.")
class Connection(Generic[NodeType]):
    edges: list[Edge[NodeType]] = strawberry.field(description="The entries of the page with their cursors.")
    nodes: list[NodeType] = strawberry.field(description="The entries of the page.")
    page_info: PageInfo = strawberry.field(description="Where the page lies in the list.")


def connection(page: Page[Row], request: PageRequest, node: Callable[[Row], NodeType]) -> Connection[NodeType]:
    """The GraphQL form of a page of rows; ``node`` makes the type of a row."""
    nodes = [node(row) for row in page.rows]
    cursors = [request.cursor(position) for position in page.positions]
    edges: list[Any] = [Edge(node=entry, cursor=cursor) for entry, cursor in zip(nodes, cursors, strict=True)]
    return Connection(
        edges=edges,
        nodes=nodes,
        page_info=PageInfo(
            has_next_page=page.has_next,
            has_previous_page=page.has_previous,
            start_cursor=cursors[0] if cursors else None,
            end_cursor=cursors[-1] if cursors else None,
        ),
    )
