"""Prints tables to standard output, and a description of the machine."""

from __future__ import annotations

import datetime
import os
import re
from collections.abc import Sequence
from pathlib import Path


def print_table(title: str, header: Sequence[str], rows: Sequence[Sequence[str]]) -> None:
    """Prints a Markdown table with a title above it."""
    widths = [max(len(row[n]) for row in [header, *rows]) for n in range(len(header))]
    print(f"\n{title}\n")
    for row in [header, ["-" * width for width in widths], *rows]:
        print("| " + " | ".join(cell.ljust(width) for cell, width in zip(row, widths, strict=True)) + " |")


def describe_machine() -> str:
    """Returns date, processor, cores and load average, because all of them affect the numbers."""
    today = datetime.datetime.now(datetime.UTC).date()
    return f"{today}, {_processor()}, {os.cpu_count()} cores, load average {os.getloadavg()[0]:.1f} before the start"


def _processor() -> str:
    try:
        found = re.search(r"^model name\s*: (.+)$", Path("/proc/cpuinfo").read_text(), re.MULTILINE)
    except OSError:
        found = None
    return found[1] if found else "processor unknown"
