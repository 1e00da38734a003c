"""CSV files for spreadsheets: safe cells, in the form that the reader's spreadsheet opens."""

from __future__ import annotations

import csv
import io
from collections.abc import Iterable, Sequence

# A spreadsheet evaluates a cell that begins with one of these as a formula (OWASP, CSV injection).
FORMULA = ("=", "+", "-", "@", "\t", "\r", "\n")


def harmless(value: object) -> object:
    """Return the value safe for a cell: text that would be evaluated gets a leading apostrophe."""
    return f"'{value}" if isinstance(value, str) and value.startswith(FORMULA) else value


def csv_file(
    columns: Sequence[str], rows: Iterable[Iterable[object]], *, decimal_comma: bool = False
) -> bytes:
    """Return a CSV file in UTF-8 with a byte-order mark, by which Excel knows the encoding.

    `decimal_comma`: spreadsheets of readers who write 0,5 expect a comma as the decimal sign, and semicolons between
    cells.
    """
    target = io.StringIO(newline="")
    writer = csv.writer(target, delimiter=";" if decimal_comma else ",")
    writer.writerow(columns)
    for row in rows:
        writer.writerow([_cell(value, decimal_comma=decimal_comma) for value in row])
    return target.getvalue().encode("utf-8-sig")


def _cell(value: object, *, decimal_comma: bool) -> object:
    if isinstance(value, float):
        text = _plain(value)
        return text.replace(".", ",") if decimal_comma else text
    return harmless(value)


def _plain(value: float) -> str:
    """Format without an exponent, which some spreadsheets treat as text."""
    text = repr(value)
    return f"{value:.12f}".rstrip("0") if "e-" in text else text
