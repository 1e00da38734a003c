"""Tests of CSV files for spreadsheets."""

from __future__ import annotations

import csv
import io

import pytest

from services.formats.csv_cells import csv_file

ROWS = [(1, 0.5, None, "a;b, c"), (-2, 0.00000123, True, "=1+1"), (3, 1234567.25, 0.0, "x\ny")]


@pytest.mark.parametrize(("comma", "parted", "sign"), [(False, ",", "."), (True, ";", ",")])
def test_numbers_and_separators_are_those_of_the_readers_spreadsheet(
    comma: bool, parted: str, sign: str
) -> None:
    data = csv_file(("n", "x", "y", "text"), ROWS, decimal_comma=comma)
    assert data.startswith(b"\xef\xbb\xbf")
    read = list(csv.reader(io.StringIO(data.decode("utf-8-sig"), newline=""), delimiter=parted))
    assert read == [
        ["n", "x", "y", "text"],
        ["1", f"0{sign}5", "", "a;b, c"],
        ["-2", f"0{sign}00000123", "True", "'=1+1"],
        ["3", f"1234567{sign}25", f"0{sign}0", "x\ny"],
    ]
