"""Measures gains on a GPU: `python -m bench.model.gpu --pairs N --folder FOLDER`; exits without a CUDA device.

Needs only the model container's environment. Writes folders of about 35 GB, once.
"""

from __future__ import annotations

import argparse
import json
import os
import shutil
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

import diffusers
import torch

from bench.drawing import Request, request
from bench.model.contestants import draw_at_once, load_ours
from bench.model.gpu_folders import FluxShape, XlShape, make_flux, make_xl
from bench.pairs import PAIRS, Comparison, Plan, alternate, print_comparisons
from bench.table import describe_machine
from inference.pipelines.family import Model
from inference.pipelines.speed import SpeedWishes

# A start that compiles takes a minute.
START_PAIRS = 3
STEPS = 30


def main(arguments: list[str]) -> None:
    """Measure on the first CUDA device, whose name is printed above the tables."""
    parser = argparse.ArgumentParser(prog="python -m bench.model.gpu", description=__doc__)
    parser.add_argument("--pairs", type=int, default=PAIRS)
    parser.add_argument("--start-pairs", type=int, default=START_PAIRS)
    parser.add_argument("--folder", type=Path, required=True, help="where models, caches and rounds are kept")
    parser.add_argument("--resume", action="store_true")
    parser.add_argument("--flux-blocks", type=int, nargs=2, default=None, metavar=("DOUBLE", "SINGLE"))
    asked = parser.parse_args(arguments)
    if not torch.cuda.is_available():
        print("no CUDA device here: not measured")
        return
    print(f"{torch.cuda.get_device_name()}, torch {torch.__version__}; {describe_machine()}", flush=True)
    plan = Plan(asked.pairs, asked.folder / "rounds", asked.resume)
    xl = make_xl(asked.folder / "sdxl", XlShape())
    measure_xl(xl, plan, request(1, side_px=1024, steps=STEPS, scheduler="euler"))
    measure_starts(xl, Plan(asked.start_pairs, plan.folder, plan.resume))
    flux_shape = FluxShape(*asked.flux_blocks) if asked.flux_blocks else FluxShape()
    wanted = request(1, side_px=1024, steps=8, scheduler="flow_euler")
    measure_regional(make_flux(asked.folder / "flux", flux_shape), plan, wanted)


def measure_xl(folder: Path, plan: Plan, wanted: Request) -> None:
    """Print the stock pipeline in float32 against the server's model, both on the device."""
    with _cache() as cache:
        eager = _load_stock(folder, "StableDiffusionXLPipeline", torch.float32)
        ours = load_ours(folder, SpeedWishes(compile="on", compile_cache_dir=Path(cache)))
        rounds = alternate(
            "sdxl",
            {
                "eager": lambda number: _stock_seconds(eager, wanted),
                "ours": lambda number: _our_seconds(ours, wanted),
            },
            plan,
        )
    print_comparisons(
        f"SDXL-shaped, {wanted.side_px} px, {wanted.num_inference_steps} steps: speed ({_medians(rounds)})",
        [Comparison("ours / stock pipeline, float32", "eager", "ours", "at least", 2.5)],
        rounds,
    )


def measure_regional(folder: Path, plan: Plan, wanted: Request) -> None:
    """Print the gain from compiling the repeated blocks, and its cost against compiling the whole transformer."""
    with _cache() as cache:
        stock = _load_stock(folder, "FluxPipeline", torch.bfloat16)
        ours = load_ours(folder, SpeedWishes(dtype="bfloat16", compile="on", compile_cache_dir=Path(cache)))
        first_s = _our_seconds(ours, wanted)
        rounds = alternate(
            "flux",
            {
                "eager": lambda number: _stock_seconds(stock, wanted),
                "ours": lambda number: _our_seconds(ours, wanted),
            },
            plan,
        )
    regional_s = first_s - min(figures["ours"] for figures in rounds)
    with _cache() as cache:
        torch.compiler.reset()
        os.environ["TORCHINDUCTOR_CACHE_DIR"] = cache
        stock.transformer.compile(fullgraph=True)
        whole_first_s = _stock_seconds(stock, wanted)
        whole_s = whole_first_s - min(_stock_seconds(stock, wanted) for _ in range(2))
    print_comparisons(
        f"FLUX-shaped, {wanted.side_px} px, {wanted.num_inference_steps} steps, bfloat16: speed ({_medians(rounds)})",
        [Comparison("ours, compiled by regions / stock pipeline", "eager", "ours")],
        rounds,
    )
    print(f"compiling, once: by regions {regional_s:.1f} s, the whole transformer {whole_s:.1f} s")


def measure_starts(folder: Path, plan: Plan) -> None:
    """Print a start with a filled compile cache against one with an empty cache."""
    parts: dict[str, dict[str, float]] = {}

    def start(kind: str, cache: Path) -> float:
        if kind == "first":
            shutil.rmtree(cache, ignore_errors=True)
        command = [sys.executable, "-m", "bench.model.gpu_start", str(folder), str(cache)]
        # Removed explicitly: `measure_xl` set it for this process.
        environment = {k: v for k, v in os.environ.items() if k != "TORCHINDUCTOR_CACHE_DIR"}
        done = subprocess.run(command, capture_output=True, text=True, check=False, env=environment)
        if done.returncode != 0:
            raise RuntimeError(f"a start failed: {done.stderr[-2000:]}")
        parts[kind] = json.loads(done.stdout.splitlines()[-1])
        return parts[kind]["warm_up_s"]

    with _cache() as cache:
        kept = Path(cache) / "kept"
        rounds = alternate(
            "starts",
            {"first": lambda number: start("first", kept), "second": lambda number: start("second", kept)},
            plan,
        )
    print_comparisons(
        f"Start with compiling: from loaded to warm ({_medians(rounds)})",
        [Comparison("second start, with the compile cache / first", "second", "first", "at most", 0.3)],
        rounds,
    )
    loads = {kind: round(found["load_s"], 1) for kind, found in parts.items()}
    print(f"loading before that, in both alike: {loads or 'not measured again'}")


def _load_stock(folder: Path, name: str, dtype: torch.dtype) -> Any:
    pipe = getattr(diffusers, name).from_pretrained(folder, torch_dtype=dtype, local_files_only=True)
    pipe.set_progress_bar_config(disable=True)
    return pipe.to("cuda" if torch.cuda.is_available() else "cpu")


def _stock_seconds(pipe: Any, wanted: Request) -> float:
    _wait()
    began = time.perf_counter()
    pipe(
        prompt=wanted.prompt,
        width=wanted.side_px,
        height=wanted.side_px,
        num_inference_steps=wanted.num_inference_steps,
        guidance_scale=wanted.guidance_scale,
        generator=torch.Generator("cpu").manual_seed(wanted.seed),
    )
    _wait()
    return time.perf_counter() - began


def _our_seconds(model: Model, wanted: Request) -> float:
    _wait()
    began = time.perf_counter()
    draw_at_once(model, [wanted], 1)
    _wait()
    return time.perf_counter() - began


def _wait() -> None:
    if torch.cuda.is_available():
        torch.cuda.synchronize()


def _medians(rounds: list[dict[str, float]]) -> str:
    return ", ".join(
        f"{name} {sorted(figures[name] for figures in rounds)[len(rounds) // 2]:.2f} s" for name in rounds[0]
    )


def _cache() -> tempfile.TemporaryDirectory[str]:
    return tempfile.TemporaryDirectory(prefix="bench-compile-")


if __name__ == "__main__":
    main(sys.argv[1:])
