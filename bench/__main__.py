"""`make bench`: runs the benchmarks named on the command line, or all of them."""

from __future__ import annotations

import argparse
import subprocess
import tempfile
from collections.abc import Callable
from pathlib import Path

from bench import (
    backlog,
    cold_start,
    contention,
    first_picture,
    gallery,
    in_process,
    job_path,
    journal_cost,
    moderation,
    open_pages,
    read_rate,
    serving,
)
from bench.pairs import PAIRS, Plan
from bench.processes import environment
from bench.stack import running_stack
from bench.table import describe_machine
from local.bootstrap import ENVIRONMENTS, make_environments
from local.processes import INFERENCE_PYTHON, ROOT

BUILD = ROOT / "build/bench"


def main() -> None:
    """Prints one table per benchmark, with the machine's load above them, because it affects the numbers."""
    parser = argparse.ArgumentParser(prog="python -m bench", description=__doc__)
    parser.add_argument("names", nargs="*", metavar="NAME", help=f"one of: {', '.join(MEASUREMENTS)}")
    parser.add_argument("--pairs", type=int, default=PAIRS, help="rounds of the model server's measurements")
    parser.add_argument(
        "--resume", action="store_true", help="go on from the rounds that were measured before"
    )
    arguments = parser.parse_args()
    if unknown := [name for name in arguments.names if name not in MEASUREMENTS]:
        parser.error(f"no measurement is called {', '.join(unknown)}; there are: {', '.join(MEASUREMENTS)}")
    if arguments.pairs < 1:
        parser.error("--pairs must be at least 1")
    plan = Plan(arguments.pairs, BUILD / "rounds", arguments.resume)
    plan.folder.mkdir(parents=True, exist_ok=True)
    print(describe_machine(), flush=True)
    for name in arguments.names or MEASUREMENTS:
        MEASUREMENTS[name](plan)


def _job_path(_plan: Plan) -> None:
    with tempfile.TemporaryDirectory() as folder, running_stack(Path(folder)) as stack:
        job_path.measure(stack)


def _journal(_plan: Plan) -> None:
    journal_cost.measure()


def _backlog(_plan: Plan) -> None:
    with tempfile.TemporaryDirectory() as folder:
        backlog.measure(Path(folder))


def _contention(_plan: Plan) -> None:
    with tempfile.TemporaryDirectory() as folder:
        contention.measure(Path(folder))


def _moderation(_plan: Plan) -> None:
    moderation.measure()


def _reads(_plan: Plan) -> None:
    with tempfile.TemporaryDirectory() as folder:
        read_rate.measure(Path(folder))


def _gallery(_plan: Plan) -> None:
    with tempfile.TemporaryDirectory() as folder:
        gallery.measure(Path(folder))


def _cold_start(_plan: Plan) -> None:
    with tempfile.TemporaryDirectory() as folder:
        cold_start.measure(Path(folder))


def _first_page(_plan: Plan) -> None:
    make_environments(ROOT / ".venvs", {"studio": ENVIRONMENTS["studio"]}, dev=True)
    # Playwright is part of the test environment.
    from bench import first_page

    with tempfile.TemporaryDirectory() as folder:
        first_page.measure(Path(folder))


def _open_pages(_plan: Plan) -> None:
    with tempfile.TemporaryDirectory() as folder:
        open_pages.measure(Path(folder))


def _clients(plan: Plan) -> None:
    make_environments(ROOT / ".venvs", {"bench": ENVIRONMENTS["bench"]}, dev=True)
    serving.measure_many_clients(_model(), plan)


def _gpu(plan: Plan) -> None:
    where = ["--pairs", str(plan.pairs), "--folder", str(BUILD / "gpu"), *["--resume"] * plan.resume]
    command = [str(INFERENCE_PYTHON), "-m", "bench.model.gpu", *where]
    subprocess.run(command, cwd=ROOT, env=environment(threads=None), check=True)


def _model() -> Path:
    """Return the folder of the model to measure; creates it if missing."""
    folder = BUILD / "sd-128"
    command = [str(INFERENCE_PYTHON), "-m", "bench.model.folders", str(folder)]
    subprocess.run(command, cwd=ROOT, env=environment(), check=True, stderr=subprocess.DEVNULL)
    return folder


MEASUREMENTS: dict[str, Callable[[Plan], None]] = {
    "job_path": _job_path,
    "journal": _journal,
    "backlog": _backlog,
    "contention": _contention,
    "gallery": _gallery,
    "moderation": _moderation,
    "reads": _reads,
    "cold_start": _cold_start,
    "first_page": _first_page,
    "open_pages": _open_pages,
    "server": lambda plan: serving.measure_one_client(_model(), plan),
    "clients": _clients,
    "batch": lambda plan: in_process.measure_batch(_model(), plan),
    "threads": lambda plan: in_process.measure_threads(_model(), plan),
    "first_picture": lambda plan: first_picture.measure(plan),
    "encode": lambda plan: in_process.measure_encode(plan),
    "gpu": _gpu,
}


if __name__ == "__main__":
    main()
