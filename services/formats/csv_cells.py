"""Values for files that spreadsheets open."""

from __future__ import annotations

# A spreadsheet runs a cell that begins with one of these as a formula (OWASP, CSV injection).
FORMULA = ("=", "+", "-", "@", "\t", "\r", "\n")


def harmless(value: object) -> object:
    """The value as it may stand in a cell: a text that would be run is quoted with an apostrophe."""
    return f"'{value}" if isinstance(value, str) and value.startswith(FORMULA) else value
