"""A process that loads one model imports what that model uses, and draws the same with it."""

from __future__ import annotations

import json
import re
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from inference.pipelines.found_model import find_model
from inference.pipelines.lean_imports import COMPILER
from inference.pipelines.load_model import load_model
from tests.inference.client import PAYLOAD, invoke, wait_until
from tests.inference.drawings import as_base64, mask_base64, noise_picture
from tests.inference.lean_process import draw_all
from tests.inference.processes import ROOT, ServerProcess, clean_environment, free_port
from tests.inference.test_loras import make_lora
from tests.inference.tiny_families import add_refiner, make_family

# Inside diffusers' schedulers, with numpy 2.
pytestmark = pytest.mark.filterwarnings("ignore:__array__ implementation:DeprecationWarning")

POCKET = ROOT / "inference/pocket/weights"
# LoRAs, offloading, S3, the compiler, clusters, other frameworks: with what they pull in, a third of all modules.
UNUSED = (
    "peft",
    "accelerate",
    "boto3",
    COMPILER,
    "torch._inductor",
    "torch.distributed.tensor",
    "torchvision",
    "pandas",
    "scipy",
)
# What Python itself writes of each import, with PYTHONPROFILEIMPORTTIME.
IMPORTED = re.compile(r"^import time: .*\| +(\S+)$", re.MULTILINE)


def requests(scheduler: str) -> list[dict[str, Any]]:
    """One request for each task."""
    text = {**PAYLOAD, "num_inference_steps": 3, "guidance_scale": 1.0, "scheduler": scheduler}
    over = {**text, "image": as_base64(noise_picture(1)), "strength": 0.7}
    return [text, over, {**over, "mask": mask_base64(white_from=32)}]


def draw_lean(folder: Path, payloads: list[dict[str, Any]], *more: str) -> dict[str, Any]:
    done = subprocess.run(
        [sys.executable, "-m", "tests.inference.lean_process", str(folder), json.dumps(payloads), *more],
        cwd=ROOT,
        env=clean_environment(),
        capture_output=True,
        text=True,
        timeout=180,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    answer: dict[str, Any] = json.loads(done.stdout.splitlines()[-1])
    return answer


@pytest.mark.parametrize("family", ["sd15", "sdxl", "sd3", "flux-dev"])
def test_every_family_draws_the_same_without_what_it_does_not_use(family: str, tmp_path: Path) -> None:
    folder = make_family(family, tmp_path / family)
    if family == "sdxl":
        add_refiner(folder)
    found, limits = find_model(folder)
    payloads = requests(limits.schedulers[0])

    lean = draw_lean(folder, payloads)

    assert lean["drawn"] == draw_all(load_model(found, threads=1), payloads)
    assert {"torch", "diffusers", "transformers"} <= set(lean["imported"])
    assert set(lean["imported"]).isdisjoint(UNUSED)


def test_what_is_used_is_imported(tmp_path: Path) -> None:
    folder = make_family("sd15", tmp_path / "sd15")
    make_lora("sd15", folder / "loras" / "ink.safetensors", seed=1)
    found, limits = find_model(folder)
    payload = {**requests(limits.schedulers[0])[0], "loras": [{"name": "ink", "scale": 1.0}]}

    lean = draw_lean(folder, [payload])

    assert {"peft", "accelerate"} <= set(lean["imported"])
    assert lean["drawn"] == draw_all(load_model(found, threads=1), [payload])


def test_the_compiler_comes_when_it_is_asked_for_after_all(tmp_path: Path) -> None:
    folder = make_family("sd15", tmp_path / "sd15")

    lean = draw_lean(folder, requests("ddim")[:1], "compile")

    assert lean["modes"]
    assert lean["compiled"] == [2.0, 2.0]
    assert COMPILER not in lean["imported"]
    assert COMPILER in lean["imported_then"]


def test_a_server_that_has_drawn_imported_nothing_it_did_not_use(
    start_process: Callable[..., ServerProcess],
) -> None:
    port = free_port()
    server = start_process(POCKET, INFERENCE_PORT=str(port), PYTHONPROFILEIMPORTTIME="1")
    wait_until(lambda: "listening" in server.log_text(), "the server listens", timeout_s=60)

    answer = invoke(port)
    imported = set(IMPORTED.findall(server.log_text()))

    assert answer.status == 200
    assert {"torch", "diffusers", "transformers", "onnxruntime"} <= imported
    assert imported.isdisjoint(UNUSED)
