"""How each field gets its answer: reading the tree, and who may see or do what.

Glossary
    viewer     the account whose token the request carries
    gate       `resolvers.access`: may this viewer see that account, or act on it?
    context    what one request carries: services, viewer, loaders
    loader     gathers look-ups of one request into one statement
    statement  a whole query as one SQL text that answers its JSON: `resolvers.statement`, by `resolvers.read_table`
    mark       what a statement writes for a field that it leaves to the ordinary resolver
    request    what the arguments of a list ask for: its form makes the statement, its values are bound to it
    row        a frozen dataclass that `schema` makes a GraphQL type of; nothing here knows GraphQL

Reads are here; for a write a module here opens the transaction and calls `billing`.
"""
