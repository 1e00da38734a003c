"""Tests of LoRAs: they change the picture by their scale, and only in the request that names them."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from peft import LoraConfig
from peft.utils import get_peft_model_state_dict
from safetensors.torch import save_file

from inference.contract import Payload
from inference.errors import InvalidRequest, StartError
from inference.pipelines.family import Model, ModelLimits, Pixels
from inference.pipelines.found_model import find_model
from inference.pipelines.load_model import load_model
from inference.pipelines.speed import SpeedWishes
from tests.inference.client import PAYLOAD
from tests.inference.onlookers import Onlooker
from tests.inference.tiny_families import MAKERS, make_family

pytestmark = pytest.mark.filterwarnings("ignore:__array__ implementation:DeprecationWarning")

TARGETS = ["to_q", "to_k", "to_v", "to_out.0"]


def make_lora(family: str, file: Path, seed: int, *, text_encoder: bool = False) -> Path:
    """Write a LoRA with random matrices for a family's denoiser, in diffusers' format."""
    pipe = MAKERS[family]()
    torch.manual_seed(seed)
    denoiser = "unet" if hasattr(pipe, "unet") else "transformer"
    tensors = {}
    for name, targets in {
        denoiser: TARGETS,
        **({"text_encoder": ["q_proj", "v_proj"]} if text_encoder else {}),
    }.items():
        part = getattr(pipe, name)
        part.add_adapter(LoraConfig(r=4, lora_alpha=4, target_modules=targets, init_lora_weights=False))
        tensors |= {f"{name}.{key}": value for key, value in get_peft_model_state_dict(part).items()}
    # Random, and large enough to be visible.
    tensors = {key: torch.randn_like(value) * 0.5 for key, value in tensors.items()}
    file.parent.mkdir(parents=True, exist_ok=True)
    save_file(tensors, file)
    return file


def payload(limits: ModelLimits, *loras: tuple[str, float], **changes: Any) -> Payload:
    fields = {**PAYLOAD, "scheduler": limits.schedulers[0], **changes}
    return Payload(**fields, loras=[{"name": name, "scale": scale} for name, scale in loras])


def draw(model: Model, request: Payload) -> Pixels:
    drawing = model.draw([request], Onlooker())[0]
    assert drawing is not None
    return drawing.pictures[0]


def difference(one: Pixels, other: Pixels) -> int:
    return int(np.abs(one.astype(int) - other.astype(int)).max())


@pytest.fixture(scope="module", params=["sd15", "sdxl", "sd3", "flux-dev"])
def loaded(
    request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[tuple[Model, Any, Model]]:
    """A model with two LoRAs in its own folder, its limits, and the same model without LoRAs."""
    folder = make_family(request.param, tmp_path_factory.mktemp("loras") / request.param)
    plain = load_model(find_model(folder)[0], threads=1)
    make_lora(request.param, folder / "loras" / "ink.v2.safetensors", seed=1)
    make_lora(request.param, folder / "loras" / "gold.safetensors", seed=2)
    (folder / "loras" / "README.md").write_text("Where they come from.")
    found, limits = find_model(folder)
    yield load_model(found, threads=1), limits, plain


def test_a_lora_changes_the_picture_by_its_scale(loaded: tuple[Model, ModelLimits, Model]) -> None:
    model, limits, plain = loaded
    without = draw(plain, payload(limits))

    nothing = draw(model, payload(limits, ("ink.v2", 0.0)))
    some = draw(model, payload(limits, ("ink.v2", 0.5)))
    full = draw(model, payload(limits, ("ink.v2", 1.0)))

    assert difference(nothing, without) <= 1
    assert difference(some, without) > 1
    assert difference(full, some) > 1


def test_a_lora_does_not_affect_the_next_request(loaded: tuple[Model, ModelLimits, Model]) -> None:
    model, limits, plain = loaded
    gold = draw(model, payload(limits, ("gold", 1.0)))
    both = draw(model, payload(limits, ("gold", 1.0), ("ink.v2", 1.0)))

    assert difference(draw(model, payload(limits)), draw(plain, payload(limits))) <= 1
    assert difference(gold, both) > 1
    assert np.array_equal(draw(model, payload(limits, ("gold", 1.0))), gold)


def test_requests_with_different_loras_are_not_drawn_together(
    loaded: tuple[Model, ModelLimits, Model],
) -> None:
    model, limits, _ = loaded

    keys = [
        model.batch_key(payload(limits, *loras))
        for loras in ([], [("gold", 1.0)], [("gold", 0.5)], [("ink.v2", 1.0)])
    ]

    assert len(set(keys)) == 4
    assert model.batch_key(payload(limits, ("gold", 1.0), seed=3)) == keys[1]


def test_an_unknown_lora_is_refused_with_the_known_ones(loaded: tuple[Model, ModelLimits, Model]) -> None:
    limits = loaded[1]

    limits.check(payload(limits, ("gold", 1.0)))
    with pytest.raises(InvalidRequest, match=r"silver.*It has: gold, ink\.v2") as refused:
        limits.check(payload(limits, ("silver", 1.0)))

    assert refused.value.param == "loras"


def test_a_lora_of_the_text_encoder_is_not_served_from_the_cache_of_another(tmp_path: Path) -> None:
    folder = make_family("sd15", tmp_path / "sd15")
    make_lora("sd15", tmp_path / "loras" / "words.safetensors", seed=3, text_encoder=True)
    found, limits = find_model(folder, tmp_path / "loras")
    model: Any = load_model(found, threads=1)
    draw(model, payload(limits))

    model._adapters.mix(payload(limits, ("words", 1.0)).loras)
    mixed = model._texts(model.pipe, [payload(limits, ("words", 1.0))])["prompt_embeds"]
    model._adapters.mix(())
    plain = model._texts(model.pipe, [payload(limits)])["prompt_embeds"]

    assert (mixed - plain).abs().max() > 1e-3


def test_a_lora_of_another_family_is_named_at_start(tmp_path: Path) -> None:
    folder = make_family("sd15", tmp_path / "sd15")
    file = make_lora("sdxl", tmp_path / "loras" / "wide.safetensors", seed=1)
    found, _ = find_model(folder, file.parent)

    with pytest.raises(StartError, match="does not fit the model") as refused:
        load_model(found, threads=1)

    assert str(file) in str(refused.value)


@pytest.mark.parametrize(
    "name", ["old.bin", "old.pt", "no spaces.safetensors", "cut.safetensors", "other.safetensors"]
)
def test_a_file_that_is_not_a_lora_is_named_before_anything_loads(name: str, tmp_path: Path) -> None:
    folder = make_family("sd15", tmp_path / "sd15")
    file = make_lora("sd15", tmp_path / "loras" / name, seed=1)
    if name == "cut.safetensors":
        file.write_bytes(file.read_bytes()[:-10])
    if name == "other.safetensors":
        save_file({"weight": torch.zeros(2)}, file)

    with pytest.raises(StartError) as refused:
        find_model(folder, file.parent)

    assert str(file) in str(refused.value)


def test_a_missing_lora_folder_is_named(tmp_path: Path) -> None:
    with pytest.raises(StartError, match=r"INFERENCE_LORA_DIR=.*nowhere"):
        find_model(make_family("sd15", tmp_path / "sd15"), tmp_path / "nowhere")


def test_fused_projections_and_loras_exclude_each_other(tmp_path: Path) -> None:
    folder = make_family("sd15", tmp_path / "sd15")
    make_lora("sd15", folder / "loras" / "ink.safetensors", seed=1)

    with pytest.raises(StartError, match="INFERENCE_FUSE_QKV=on does not go with LoRAs"):
        load_model(find_model(folder)[0], threads=1, wishes=SpeedWishes(fuse_qkv="on"))
