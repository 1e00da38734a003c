"""Tests of Stable Diffusion: pictures equal the stock pipeline's, are repeatable, and have accurate previews."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from inference.contract import Payload
from inference.errors import ModelError, OutOfMemory
from inference.pipelines.family import Model
from inference.pipelines.found_model import find_model
from inference.pipelines.load_model import load_model
from tests.inference.client import PAYLOAD
from tests.inference.onlookers import Onlooker, draw_alone
from tests.inference.tiny_model import make_tiny_model

# Raised in diffusers' schedulers with numpy 2.
pytestmark = pytest.mark.filterwarnings("ignore:__array__ implementation:DeprecationWarning")

# All schedulers that fit the tiny model's cosine schedule; `test_families.py` covers the others.
SCHEDULERS = ("ddim", "unipc", "dpmpp_2m", "euler", "lcm")


def payload(**changes: Any) -> Payload:
    return Payload(**{**PAYLOAD, **changes})


def pipeline(model: Model) -> Any:
    return model.pipe  # type: ignore[attr-defined]


@pytest.mark.parametrize("scheduler", SCHEDULERS)
def test_a_picture_equals_the_stock_pipelines(tiny_model: Model, scheduler: str) -> None:
    request = payload(scheduler=scheduler, num_inference_steps=5)

    ours = draw_alone(tiny_model, request).pictures[0]
    stock = pipeline(tiny_model)(
        prompt=request.prompt,
        negative_prompt=request.negative_prompt,
        width=64,
        height=64,
        num_inference_steps=5,
        guidance_scale=4.0,
        generator=torch.Generator("cpu").manual_seed(7),
        output_type="np",
    ).images[0]

    assert ours.dtype == np.uint8
    assert ours.shape == (64, 64, 3)
    assert np.abs(ours.astype(int) - (stock * 255).round().astype(int)).max() <= 1


@pytest.mark.parametrize("scheduler", SCHEDULERS)
def test_the_same_request_gives_the_same_pixels(tiny_model: Model, scheduler: str) -> None:
    request = payload(scheduler=scheduler, num_images_per_prompt=3)

    first = draw_alone(tiny_model, request).pictures
    # A request between them must have no effect.
    draw_alone(tiny_model, payload(seed=99))
    second = draw_alone(tiny_model, request).pictures

    assert all(np.array_equal(a, b) for a, b in zip(first, second, strict=True))


def test_picture_i_is_drawn_from_seed_plus_i(tiny_model: Model) -> None:
    together = draw_alone(tiny_model, payload(seed=2**32 - 1, num_images_per_prompt=2)).pictures
    alone = draw_alone(tiny_model, payload(seed=0)).pictures[0]

    # Batched arithmetic differs only in the last bits.
    assert np.abs(together[1].astype(int) - alone.astype(int)).max() <= 2
    assert not np.array_equal(together[0], together[1])


def test_a_picture_has_the_requested_size(tiny_model: Model) -> None:
    picture = draw_alone(tiny_model, payload(width=96, height=40)).pictures[0]

    assert picture.shape == (40, 96, 3)


def test_every_step_is_reported_in_order(tiny_model: Model) -> None:
    onlooker = Onlooker()

    draw_alone(tiny_model, payload(num_inference_steps=6), onlooker)

    assert onlooker.steps == [1, 2, 3, 4, 5, 6]


@pytest.mark.parametrize("prediction", ["epsilon", "v_prediction", "sample"])
def test_the_last_preview_is_close_to_the_picture(prediction: str, tmp_path: Path) -> None:
    folder, limits = find_model(make_tiny_model(tmp_path / prediction, prediction))
    model = load_model(folder, threads=1)
    for scheduler in limits.schedulers:
        onlooker = Onlooker(preview_at=12)
        picture = draw_alone(model, payload(scheduler=scheduler, num_inference_steps=12), onlooker).pictures[
            0
        ]
        difference = np.abs(onlooker.previews[-1].astype(int) - picture.astype(int)).mean()

        assert difference < 8, (scheduler, difference)


def test_a_preview_of_a_large_picture_is_small(tiny_model: Model) -> None:
    onlooker = Onlooker(preview_at=1)

    draw_alone(tiny_model, payload(width=512, height=128, num_inference_steps=1), onlooker)

    assert onlooker.previews[0].shape == (64, 256, 3)


def test_non_finite_output_is_an_error(tiny_model: Model, monkeypatch: pytest.MonkeyPatch) -> None:
    decode = pipeline(tiny_model).vae.decode
    monkeypatch.setattr(
        pipeline(tiny_model).vae, "decode", lambda *a, **k: [decode(*a, **k)[0] * float("nan")]
    )

    with pytest.raises(ModelError, match="NaN"):
        draw_alone(tiny_model, payload())


@pytest.mark.parametrize(
    "failure",
    [
        MemoryError(),
        torch.OutOfMemoryError("CUDA out of memory"),
        RuntimeError("[enforce fail at alloc_cpu.cpp] DefaultCPUAllocator: can't allocate memory"),
    ],
)
def test_a_request_that_does_not_fit_names_what_to_change(
    tiny_model: Model, monkeypatch: pytest.MonkeyPatch, failure: Exception
) -> None:
    def forward(*_args: Any, **_kwargs: Any) -> Any:
        raise failure

    monkeypatch.setattr(pipeline(tiny_model).unet, "forward", forward)

    with pytest.raises(OutOfMemory, match="2 pictures of 64 x 64") as refused:
        draw_alone(tiny_model, payload(num_images_per_prompt=2))

    assert refused.value.param == "num_images_per_prompt"


def test_a_small_model_uses_one_thread_by_default(tiny_folder: Path) -> None:
    folder, _ = find_model(tiny_folder)

    threads = load_model(folder, threads=None).threads

    # The other tests in this process draw with one thread too.
    assert threads == torch.get_num_threads() == 1
