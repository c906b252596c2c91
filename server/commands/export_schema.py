"""`tollpath export-schema`: the GraphQL schema as text."""

from server.commands.common import write


def export_schema() -> None:
    """Print the GraphQL schema. `schema.graphql` in the checkout is this text; a test compares the two."""
    # Not above: the GraphQL libraries take a second to import, and the other commands do without.
    from schema.assembled import export_schema as schema_text

    write(schema_text().rstrip("\n"))
