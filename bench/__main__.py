"""`make bench`: runs the measurements named on the command line, all of them without a name."""

from __future__ import annotations

import argparse
import os
import tempfile
from pathlib import Path

from bench import cold_start, job_path
from bench.stack import running_stack

NAMES = ("job_path", "cold_start")


def main() -> None:
    """Prints one table a measurement; load on the machine is printed above them, because it is in the numbers."""
    parser = argparse.ArgumentParser(prog="python -m bench", description=__doc__)
    parser.add_argument("names", nargs="*", choices=[*NAMES, []], default=[])
    names = parser.parse_args().names or NAMES
    print(f"{os.cpu_count()} cores, load average {os.getloadavg()[0]:.1f} before the start")
    with tempfile.TemporaryDirectory() as folder:
        if "job_path" in names:
            where = Path(folder) / "job_path"
            where.mkdir()
            with running_stack(where) as stack:
                job_path.measure(stack)
        if "cold_start" in names:
            cold_start.measure(Path(folder))


if __name__ == "__main__":
    main()
