"""How each field gets its answer: reading the tree, and who may see or do what.

Glossary
    viewer     the account whose token the request carries
    gate       `resolvers.access`: may this viewer see that account, or act on it?
    context    what one request carries: services, viewer, loaders
    loader     gathers look-ups of one request into one statement
    row        a frozen dataclass that `schema` makes a GraphQL type of; nothing here knows GraphQL

Reads are here; for a write a module here opens the transaction and calls `billing`.
"""
