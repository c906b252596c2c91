"""The rules, and every write: money, rates, accounts, credit, charging.

Glossary
    refusal        what the caller can mend, an exception with a stable code (`billing.errors`)
    deck           the operator's own rate list, where every price begins
    price book     one process's rate lists in memory, kept exact by the pricing epoch
    charge order   one finished call that is to be charged; a *batch* of them is charged in one transaction
    offer          terms on which a reseller sells credit; a *floor* is the least that those above it allow
    tx             an open transaction of the caller: functions here never commit

No module here reads a clock: the time is an argument or the database's. Rows are locked in ascending id.
"""
