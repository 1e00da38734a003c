"""Escapes values for files that spreadsheets open."""

from __future__ import annotations

# A spreadsheet evaluates a cell that begins with one of these as a formula (OWASP, CSV injection).
FORMULA = ("=", "+", "-", "@", "\t", "\r", "\n")


def harmless(value: object) -> object:
    """Return the value safe for a cell: text that would be evaluated gets a leading apostrophe."""
    return f"'{value}" if isinstance(value, str) and value.startswith(FORMULA) else value
