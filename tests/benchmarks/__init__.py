"""Benchmarks: `python -m tests.benchmarks` runs all of them and prints what it measured. It never gates anything.

One file a benchmark, each with ``async def run(options) -> Report``, listed in `__main__`. They share:

    report        what a benchmark answers: a table for people, JSON for programs, the page docs/performance.md
    machine       where and with what it ran; processor time by process
    place         a fresh embedded PostgreSQL with the product's settings, migrated, and a tree in it
    tree          10,000 customers at depth 5 with a deck of 9,000 prefixes, from a seed
    proof         that the books are right behind a benchmark, by the reference ledger, its simulation and the audit
    reckoning     calls that were charged, counted and charged again by the reference ledger
    load          random calls; as orders, and as requests that are complete before the clock starts
    http_client   sends finished requests over keep-alive connections, so many in flight
    node          Node.js and PostGraphile, installed on first use
    peer_place   the tree with accounts that differ, for those who only read
    peer_servers  the servers that are compared: the product, PostGraphile, `dataloader_app`
    bare_balances the least that balances cost PostgreSQL: one UPDATE a batch and nothing else
    pgbench       one transaction a call, written as well as it can be: the baseline
"""
