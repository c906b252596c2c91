"""Exports: `/export/{calls,rates,transactions,customers}.{csv,xlsx}`.

    endpoint       from the request to the first byte, and until the last one or until nobody waits any more
    kinds          which exports there are, and which parameters each takes
    parameters     the query string, every name and value checked
    csv_text       rows as CSV
    xlsx_file      rows as an XLSX file
    slots          how many exports run at once

What is exported, and who may see it, is in `resolvers/export_*.py`.
"""
