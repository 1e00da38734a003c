"""From process start to the first PNG: the model server against a plain script with the stock pipeline."""

from __future__ import annotations

import base64
import io
import socket
import subprocess
import time
from functools import partial
from pathlib import Path

from PIL import Image

from bench.drawing import request
from bench.pairs import Comparison, Plan, alternate, print_comparisons
from bench.processes import LIMIT_S, ask_ours, environment, start_server
from local.processes import INFERENCE_PYTHON, LOOPBACK, ROOT, Child, any_free_port

POCKET = ROOT / "inference/pocket/weights"
SIDE_PX = 128


def measure(plan: Plan, model: Path = POCKET) -> None:
    """Print the ratio. The server also loads its output check, which the script does not have."""
    rounds = alternate(
        "first_picture",
        {
            "script": partial(_script, model, plan.folder),
            "server": partial(_server, model, plan.folder),
        },
        plan,
    )
    print_comparisons(
        f"Start of the process to the first picture of pocket, {SIDE_PX} px, 4 steps, one torch thread",
        [Comparison("server, with its output check / plain script", "server", "script")],
        rounds,
    )
    for name in ("script", "server"):
        seconds = sorted(figures[name] for figures in rounds)
        print(f"{name}: {seconds[len(seconds) // 2]:.2f} s in the median")


def _script(model: Path, folder: Path, _round: int) -> float:
    picture = folder / "first.png"
    picture.unlink(missing_ok=True)
    with open(folder / "script.log", "ab") as log:
        began = time.perf_counter()
        process = subprocess.Popen(
            [INFERENCE_PYTHON, "-m", "bench.model.plain", model, picture, str(SIDE_PX)],
            cwd=ROOT,
            env=environment(),
            stdout=subprocess.PIPE,
            stderr=log,
            # Like the server: the kernel shares a busy machine by session.
            start_new_session=True,
        )
        assert process.stdout is not None
        said = process.stdout.readline()
        seconds = time.perf_counter() - began
        process.kill()
        process.communicate()
    if said != b"done\n":
        raise RuntimeError(f"the plain script drew nothing; see {folder / 'script.log'}")
    _check(picture.read_bytes())
    return seconds


def _server(model: Path, folder: Path, _round: int) -> float:
    port = any_free_port()
    began = time.perf_counter()
    child = start_server(model, port, folder / "first.log", checked=True)
    try:
        # It accepts requests while the model loads.
        _wait_for_listener(port, child, began + LIMIT_S)
        data = ask_ours(port, request(1, side_px=SIDE_PX))
        seconds = time.perf_counter() - began
    finally:
        child.kill()
    _check(base64.b64decode(data))
    return seconds


def _wait_for_listener(port: int, child: Child, deadline: float) -> None:
    while True:
        try:
            socket.create_connection((LOOPBACK, port), timeout=1).close()
        except OSError:
            if child.exit_code() is not None or time.perf_counter() > deadline:
                raise RuntimeError(f"the server did not listen; see {child.log}") from None
            time.sleep(0.01)
        else:
            return


def _check(file: bytes) -> None:
    picture = Image.open(io.BytesIO(file))
    picture.load()
    if picture.format != "PNG" or picture.size != (SIDE_PX, SIDE_PX):
        raise RuntimeError(f"a {picture.format} of {picture.size} came instead of a PNG of {SIDE_PX} px")
