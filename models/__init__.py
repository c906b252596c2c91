"""Tables, engine and migrations.

Glossary
    account        a node of the reseller tree; its *state* is what charging reads and writes
    rate list      what an account's price is made of: a percentage on the upper level's price, own prefixes
    rate           one prefix's price in one list, from one instant on
    call           one telephone call, booked for the account that made it
    charge         what one level of the path paid for one call (one row per level, also of a free or unrated call)
    usage day      calls, seconds and charged amount of one account on one UTC day, kept as a running sum
    credit transaction   a change of one account's balance by a person, never by a call
    offer          terms on which a reseller sells credit to its direct customers
    purchase       credit sold under an offer: a credit transaction, and the bonus that it earned as another
    branding       name, logo and colours of a reseller, for itself and everybody below it

Units: amounts are whole units of 0.00001 (``bigint``, names end in ``_units``); prices and fees are whole units of
0.00000001 (``bigint``, names end in ``_e8``); what is paid for credit is whole hundredths of its own currency
(``bigint``, names end in ``_cents``); durations are whole seconds (``_s``).
"""
