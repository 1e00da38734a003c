"""Tests of the GPU benchmarks, with tiny models on the CPU, so that the printed figures mean nothing."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest
import torch

from bench.drawing import request
from bench.model import gpu
from bench.model.contestants import Ways, draw_at_once, load_ours
from bench.model.gpu_folders import FluxShape, XlShape, flux_transformer, make_flux, make_xl, xl_unet
from bench.pairs import Plan
from inference.pipelines.found_model import find_model

pytestmark = [
    pytest.mark.filterwarnings("ignore::DeprecationWarning"),
    pytest.mark.filterwarnings("ignore::UserWarning"),
    pytest.mark.filterwarnings("ignore::FutureWarning"),
]

TINY_VAE = (8, 8, 8, 8)
TINY_XL = XlShape(
    widths=(16, 32, 32),
    transformer_layers=(1, 1, 1),
    heads=(2, 4, 4),
    text=(32, 1),
    text_2=(32, 1),
    time_ids=8,
    vae=TINY_VAE,
    native_px=64,
)
TINY_FLUX = FluxShape(
    blocks=1, single_blocks=1, heads=2, head=16, axes=(4, 4, 8), text=(32, 1), text_2=(64, 1), vae=TINY_VAE
)


@pytest.fixture(scope="module")
def tiny_xl(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return make_xl(tmp_path_factory.mktemp("gpu") / "sdxl", TINY_XL)


def test_the_default_shapes_are_those_of_the_published_models() -> None:
    with torch.device("meta"):
        parts = [xl_unet(XlShape()), flux_transformer(FluxShape())]

    # Published as 2.6 and 12 billion.
    assert [round(sum(p.numel() for p in part.parameters()) / 1e9, 2) for part in parts] == [2.57, 11.9]


def test_a_folder_of_the_same_shape_is_kept_and_any_other_is_recreated(tiny_xl: Path) -> None:
    before = (tiny_xl / "model_index.json").stat().st_mtime_ns

    assert make_xl(tiny_xl, TINY_XL) == tiny_xl
    assert (tiny_xl / "model_index.json").stat().st_mtime_ns == before
    assert find_model(tiny_xl)[1].native_px == 64
    (tiny_xl / "shape.txt").write_text("another")
    make_xl(tiny_xl, TINY_XL)
    assert (tiny_xl / "model_index.json").stat().st_mtime_ns > before


@pytest.mark.slow
@pytest.mark.timeout(600)
def test_sdxl_and_a_start_with_the_compile_cache_are_measured(
    tiny_xl: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    gpu.measure_xl(tiny_xl, Plan(1, tmp_path), request(1, side_px=64, steps=2, scheduler="euler"))
    gpu.measure_starts(tiny_xl, Plan(1, tmp_path))

    printed = capsys.readouterr().out
    assert "ours / stock pipeline, float32" in printed
    assert "at most 0.3" in printed
    figures = json.loads((tmp_path / "starts.jsonl").read_text())
    # Only the first start compiles.
    assert figures["second"] < figures["first"]


@pytest.mark.slow
@pytest.mark.timeout(600)
def test_compiling_by_regions_is_measured(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    folder = make_flux(tmp_path / "flux", TINY_FLUX)

    gpu.measure_regional(folder, Plan(1, tmp_path), request(1, side_px=64, steps=2, scheduler="flow_euler"))

    assert "by regions" in capsys.readouterr().out


def test_a_missing_gpu_is_reported(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(torch.cuda, "is_available", lambda: False)

    gpu.main(["--folder", str(tmp_path)])

    assert capsys.readouterr().out == "no CUDA device here: not measured\n"
    assert list(tmp_path.iterdir()) == []


@pytest.mark.timeout(300)
def test_naive_strategies_are_compared_on_the_model_threads_work(tiny_folder: Path) -> None:
    ways = Ways(str(tiny_folder))
    asked = [request(seed, side_px=64, steps=2) for seed in (1, 2)]

    right = ways.draw("one_model_thread", asked)
    own = ways.draw("pipeline_a_thread", asked)

    assert ways.count_right(right) == ways.count_right(own) == 2
    assert own[0] is not None
    assert ways.count_right([None, own[1]]) == 1
    assert ways.count_right([own[0], own[0]]) == 1
    model = load_ours(tiny_folder)
    together = [drawing.pictures[0] for drawing in draw_at_once(model, asked, 2)]
    assert all(
        np.abs(one.astype(int) - other).max() <= 1
        for one, other in zip(together, own, strict=True)
        if other is not None
    )
