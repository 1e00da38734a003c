"""Runs the tests of both environments in parallel: `python -m tests.side_by_side [pytest arguments]`.

Each output line starts with the name of its run. A failure of one run does not end the other; the exit code is that of
the first run that failed. pytest's closing lines are repeated at the end, unchanged.
"""

from __future__ import annotations

import argparse
import os
import re
import shlex
import subprocess
import sys
import threading
import time
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]
CLOSING = re.compile(rb"^=+ .*(passed|failed|error|skipped|deselected|no tests ran).* =+$")
NOTHING_TO_RUN = 5
THREADS = {"OMP_NUM_THREADS": "1", "MKL_NUM_THREADS": "1"}


@dataclass
class Run:
    """One pytest run and its closing lines."""

    name: str
    command: Sequence[str]
    closing: list[bytes] = field(default_factory=list)
    code: int = 0
    wall_s: float = 0.0

    def to_the_end(self, turn: threading.Lock) -> None:
        """Runs pytest and copies its output to standard output, line by line."""
        began = time.monotonic()
        head = f"{self.name:<10}| ".encode()
        with subprocess.Popen(
            self.command,
            cwd=ROOT,
            env={
                **os.environ,
                **THREADS,
                "PYTHONUNBUFFERED": "1",
                # tests/coverage_by_package.py reads these files, which pytest writes with --cov.
                "COVERAGE_FILE": str(ROOT / f"build/coverage/data.{self.name}"),
            },
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
        ) as process:
            assert process.stdout is not None
            for line in process.stdout:
                if CLOSING.match(line.rstrip(b"\n")):
                    self.closing.append(line)
                with turn:
                    sys.stdout.buffer.write(head + line.rstrip(b"\n") + b"\n")
                    sys.stdout.buffer.flush()
        # An environment without selected tests has not failed.
        self.code = 0 if process.returncode == NOTHING_TO_RUN else process.returncode
        self.wall_s = time.monotonic() - began


def both(runs: Sequence[Run]) -> int:
    """Runs all in parallel and prints how each ended; returns the exit code of the first that failed."""
    turn = threading.Lock()
    threads = [threading.Thread(target=run.to_the_end, args=(turn,)) for run in runs]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    out = sys.stdout.buffer
    out.write(b"\n")
    for run in runs:
        out.write(f"{run.name}: exit code {run.code}, {run.wall_s:.0f} s\n".encode())
        out.write(b"".join(run.closing) or b"pytest did not finish\n")
    out.flush()
    return next((run.code for run in runs if run.code), 0)


def main(argv: Sequence[str] | None = None) -> int:
    """Parses the command line and runs both; `--studio` and `--inference` apply to one environment each."""
    parser = argparse.ArgumentParser(
        prog="python -m tests.side_by_side", description=__doc__, allow_abbrev=False
    )
    parser.add_argument("--studio", default="", help="arguments for the studio's tests, as one string")
    parser.add_argument(
        "--inference", default="", help="arguments for the model server's tests, as one string"
    )
    options, shared = parser.parse_known_args(argv)
    pytest = ["-m", "pytest"]
    return both(
        [
            Run(
                "studio",
                [
                    *(str(ROOT / ".venvs/studio/bin/python"), *pytest, "--ignore=tests/inference"),
                    *(*shlex.split(options.studio), *shared),
                ],
            ),
            Run(
                "inference",
                [
                    *(str(ROOT / ".venvs/inference/bin/python"), *pytest, "tests/inference"),
                    *(*shlex.split(options.inference), *shared),
                ],
            ),
        ]
    )


if __name__ == "__main__":
    sys.exit(main())
