"""The contestants' processes, each with the same number of torch threads and a minimal environment."""

from __future__ import annotations

import base64
import http.client
import io
import json
import os
import select
import subprocess
from collections.abc import Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from PIL import Image, ImageChops

from bench.drawing import Request
from local.processes import INFERENCE_PYTHON, LOOPBACK, ROOT, Child, answers, any_free_port

# Loading is slow on a busy machine; the slowest round should take less than half of this.
LIMIT_S = 300.0
BENCH_PYTHON = ROOT / ".venvs/bench/bin/python"
OURS = ("AWS_", "INFERENCE_", "ATELIER_", "OMP_", "MKL_", "GOMP_", "PYTHON")


def environment(threads: int | None = 1, more: Mapping[str, str] | None = None) -> dict[str, str]:
    """Return the environment of a contestant; with `threads` None, torch uses all cores."""
    kept = {name: value for name, value in os.environ.items() if not name.startswith(OURS)}
    counts = {} if threads is None else {"OMP_NUM_THREADS": str(threads)}
    return {**kept, **counts, "AWS_EC2_METADATA_DISABLED": "true", "HF_HUB_OFFLINE": "1", **(more or {})}


class Worker:
    """A process of `bench.model.worker`. Raises RuntimeError with its log's path when it ends or hangs."""

    def __init__(self, arguments: Sequence[str | Path], log: Path, threads: int | None = 1) -> None:
        self._log = log
        with open(log, "ab", buffering=0) as output:
            self._process = subprocess.Popen(
                [INFERENCE_PYTHON, "-m", "bench.model.worker", *map(str, arguments)],
                cwd=ROOT,
                env=environment(threads),
                stdin=subprocess.PIPE,
                stdout=subprocess.PIPE,
                stderr=output,
                # The kernel shares a busy machine by session, and the servers have one each.
                start_new_session=True,
            )
        self._read()

    def ask(self, **what: object) -> dict[str, Any]:
        """Return its answer."""
        assert self._process.stdin is not None
        self._process.stdin.write(json.dumps(what).encode() + b"\n")
        self._process.stdin.flush()
        return self._read()

    def stop(self) -> None:
        """End it."""
        self._process.kill()
        # Also closes the pipes.
        self._process.communicate()

    def _read(self) -> dict[str, Any]:
        assert self._process.stdout is not None
        ready, _, _ = select.select([self._process.stdout], [], [], LIMIT_S)
        line = self._process.stdout.readline() if ready else b""
        if not line.endswith(b"\n"):
            self.stop()
            raise RuntimeError(f"a contestant failed or hung; see {self._log}")
        answer: dict[str, Any] = json.loads(line)
        return answer


@contextmanager
def worker(*arguments: str | Path, log: Path, threads: int | None = 1) -> Iterator[Worker]:
    """Run a worker for the duration of a `with` block."""
    started = Worker(arguments, log, threads)
    try:
        yield started
    finally:
        started.stop()


def start_server(model: Path, port: int, log: Path, *, checked: bool) -> Child:
    """Start our server like the container; `checked` enables its output check."""
    more = {
        "INFERENCE_MODEL_DIR": str(model),
        "INFERENCE_HOST": LOOPBACK,
        "INFERENCE_PORT": str(port),
        "INFERENCE_THREADS": "1",
        # The same compression as LitServe and the raw loop.
        "INFERENCE_IMAGE_FORMAT": "png",
    }
    if not checked:
        more["INFERENCE_NSFW_THRESHOLD"] = "off"
    command = [str(INFERENCE_PYTHON), "-m", "inference.serve", "serve"]
    return Child("the model server", command, log=log, environment=environment(more=more))


@contextmanager
def our_server(model: Path, log: Path, *, checked: bool = False) -> Iterator[int]:
    """Start our server and yield its port once it is ready."""
    port = any_free_port()
    with _running(start_server(model, port, log, checked=checked), port, "/ping"):
        yield port


@contextmanager
def lit_server(model: Path, log: Path) -> Iterator[int]:
    """Start LitServe with the stock pipeline and yield its port once it is ready."""
    port = any_free_port()
    # Torch and diffusers from the model container; LitServe's packages only fill gaps.
    packages = next((ROOT / ".venvs/inference").glob("lib/python3.*/site-packages"))
    command = [str(BENCH_PYTHON), "-m", "bench.model.lit_server", str(model), str(port)]
    child = Child("LitServe", command, log=log, environment=environment(more={"PYTHONPATH": str(packages)}))
    with _running(child, port, "/health"):
        yield port


@contextmanager
def _running(child: Child, port: int, path: str) -> Iterator[None]:
    try:
        child.wait_ready(lambda: answers(port, path), timeout_s=LIMIT_S)
        yield
    finally:
        child.stop()


def post(port: int, path: str, body: dict[str, object]) -> Any:
    """Return the JSON response to `body`. Raises RuntimeError for any status but 200, OSError without a response."""
    connection = http.client.HTTPConnection(LOOPBACK, port, timeout=LIMIT_S)
    try:
        connection.request("POST", path, json.dumps(body), {"Content-Type": "application/json"})
        response = connection.getresponse()
        text = response.read()
    finally:
        connection.close()
    if response.status != 200:
        raise RuntimeError(f"POST {path} was answered with {response.status}: {text[:300]!r}")
    return json.loads(text)


def ask_ours(port: int, request: Request) -> str:
    """Return our server's picture, base64."""
    data: str = post(port, "/invocations", request.payload())["images"][0]["data"]
    return data


def ask_lit(port: int, request: Request) -> str:
    """Return LitServe's picture, base64."""
    data: str = post(port, "/predict", dict(vars(request)))["data"]
    return data


def levels_apart(one: str, other: str) -> int:
    """Return the maximum difference between two base64 pictures, in levels of 255."""
    first, second = (Image.open(io.BytesIO(base64.b64decode(data))).convert("RGB") for data in (one, other))
    if first.size != second.size:
        raise RuntimeError(f"one picture is {first.size}, the other {second.size}")
    extrema: Any = ImageChops.difference(first, second).getextrema()
    return int(max(high for _, high in extrema))


def at_the_same_time(clients: int, tasks: Sequence[Any], do: Any) -> None:
    """Let `clients` threads run `do` on the `tasks` in order; raises the first failure."""
    with ThreadPoolExecutor(clients) as pool:
        for _ in pool.map(do, tasks):
            pass
