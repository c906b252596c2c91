"""The GraphQL schema: types, inputs, payloads. No SQL and no rule is here.

Glossary
    payload      the answer to a mutation: its object and ``errors``, what the caller can mend
    global id    opaque text that names a kind of object and one of them
    connection   one page of a list, with cursors
    cost         how many nodes (objects) an operation asks for at most, known before it runs: `schema.query_cost`
    part         a type that others inherit fields from: `Account` is put together from parts, one file each

`schema.assembled` is the whole; `schema.mutation` is the one way to write a mutation.
"""
