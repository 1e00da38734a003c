"""Tests of every family with folders of random weights, through the code that serves real models."""

from __future__ import annotations

import json
import shutil
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import diffusers
import numpy as np
import pytest
import torch

from inference.contract import Payload
from inference.errors import InvalidRequest, StartError
from inference.pipelines.family import Model, ModelLimits, Pixels
from inference.pipelines.found_model import find_model
from inference.pipelines.load_model import load_model
from tests.inference.client import PAYLOAD
from tests.inference.drawings import as_base64, mask_base64, noise_picture
from tests.inference.onlookers import Onlooker
from tests.inference.tiny_families import MAKERS, add_refiner, make_family

# Raised in diffusers' schedulers with numpy 2.
pytestmark = pytest.mark.filterwarnings("ignore:__array__ implementation:DeprecationWarning")

TASKS = ("text_to_image", "image_to_image", "inpainting")


@dataclass(frozen=True)
class Tiny:
    """The loaded folder of one family."""

    name: str
    folder: Path
    limits: ModelLimits
    model: Model

    def payload(self, task: str = "text_to_image", **changes: Any) -> Payload:
        """Return a request that the family accepts."""
        fields: dict[str, Any] = {
            **PAYLOAD,
            "num_inference_steps": 4,
            "guidance_scale": min(4.0, self.limits.max_guidance),
            "scheduler": self.limits.schedulers[0],
        }
        if task != "text_to_image":
            fields |= {"image": as_base64(noise_picture(1)), "strength": 0.6}
        if task == "inpainting":
            fields["mask"] = mask_base64(white_from=32)
        return Payload(**{**fields, **changes})

    def draw(self, payload: Payload) -> Pixels:
        """Return the first picture of a request, drawn alone."""
        return only(self.model, payload)


def only(model: Model, payload: Payload, onlooker: Onlooker | None = None) -> Pixels:
    drawing = model.draw([payload], onlooker or Onlooker())[0]
    assert drawing is not None
    return drawing.pictures[0]


def difference(one: Pixels, other: Pixels) -> int:
    assert one.shape == other.shape
    return int(np.abs(one.astype(int) - other.astype(int)).max())


@pytest.fixture(scope="module", params=sorted(MAKERS))
def tiny(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Tiny]:
    folder = make_family(request.param, tmp_path_factory.mktemp("families") / request.param)
    found, limits = find_model(folder)
    yield Tiny(request.param, folder, limits, load_model(found, threads=1))


def test_a_picture_equals_the_stock_pipelines(tiny: Tiny) -> None:
    request = tiny.payload()
    stock = getattr(diffusers, json.loads((tiny.folder / "model_index.json").read_text())["_class_name"])
    without = {"text_encoder_3": None, "tokenizer_3": None} if tiny.name == "sd3-no-t5" else {}
    pipe = stock.from_pretrained(tiny.folder, local_files_only=True, **without)
    pipe.set_progress_bar_config(disable=True)
    if request.scheduler == "ddim":
        pipe.scheduler = diffusers.DDIMScheduler.from_config(pipe.scheduler.config, clip_sample=False)

    ours = tiny.draw(request)
    theirs = pipe(
        prompt=request.prompt,
        width=64,
        height=64,
        num_inference_steps=4,
        guidance_scale=request.guidance_scale,
        generator=torch.Generator("cpu").manual_seed(7),
        output_type="np",
        **({"max_sequence_length": tiny.limits.max_prompt_tokens} if tiny.name == "flux-schnell" else {}),
    ).images[0]

    assert difference(ours, (theirs * 255).round().astype(np.uint8)) <= 1


@pytest.mark.parametrize("task", TASKS)
def test_a_picture_drawn_with_others_equals_the_one_drawn_alone(tiny: Tiny, task: str) -> None:
    mine = tiny.payload(task)
    other = tiny.payload(task, seed=99, prompt="blue dog", num_images_per_prompt=2)

    together = tiny.model.draw([other, mine], Onlooker())

    assert tiny.model.batch_key(mine) == tiny.model.batch_key(other) is not None
    assert together[0] is not None and len(together[0].pictures) == 2
    assert together[1] is not None
    assert difference(together[1].pictures[0], tiny.draw(mine)) <= 1
    assert difference(together[0].pictures[0], together[0].pictures[1]) > 1


@pytest.mark.parametrize("task", TASKS)
def test_every_step_is_reported_and_the_last_preview_resembles_the_picture(tiny: Tiny, task: str) -> None:
    request = tiny.payload(task, num_inference_steps=5)
    onlooker = Onlooker(preview_at=None)

    picture = only(tiny.model, request, onlooker)

    assert onlooker.steps == list(range(1, request.steps_to_draw + 1))
    assert request.steps_to_draw == (5 if task == "text_to_image" else 3)
    assert np.abs(onlooker.previews[-1].astype(int) - picture.astype(int)).mean() < 8


def test_every_offered_scheduler_draws(tiny: Tiny) -> None:
    for scheduler in tiny.limits.schedulers:
        request = tiny.payload(scheduler=scheduler)
        tiny.limits.check(request)

        assert tiny.draw(request).std() > 5, scheduler


def test_strength_determines_how_much_of_the_input_picture_remains(tiny: Tiny) -> None:
    weak = tiny.draw(tiny.payload("image_to_image", num_inference_steps=20, strength=0.05))
    strong = tiny.draw(tiny.payload("image_to_image", num_inference_steps=20, strength=1.0))
    other = tiny.payload(
        "image_to_image", num_inference_steps=20, strength=0.05, image=as_base64(noise_picture(2))
    )

    assert difference(weak, strong) > 20
    # Another input gives another picture, so the input is used.
    assert difference(weak, tiny.draw(other)) > 20


def test_inpainting_keeps_black_areas_and_redraws_white_ones(tiny: Tiny) -> None:
    request = tiny.payload("inpainting", strength=1.0)

    picture = tiny.draw(request)

    assert np.array_equal(picture[:, :32], request.image_pixels[:, :32])
    assert difference(picture[:, 32:], request.image_pixels[:, 32:]) > 20


@pytest.mark.parametrize("task", TASKS)
def test_a_cancel_ends_the_drawing_and_does_not_affect_the_next(tiny: Tiny, task: str) -> None:
    class Canceled(Exception):
        pass

    class Canceler(Onlooker):
        def on_step(self, step: int, preview: Any) -> frozenset[int]:
            super().on_step(step, preview)
            raise Canceled

    request = tiny.payload(task)
    before = tiny.draw(request)
    canceler = Canceler()

    with pytest.raises(Canceled):
        tiny.model.draw([request], canceler)

    assert canceler.steps == [1]
    assert np.array_equal(tiny.draw(request), before)


def test_an_unwanted_request_is_not_decoded(tiny: Tiny) -> None:
    class Dropper(Onlooker):
        def on_step(self, step: int, preview: Any) -> frozenset[int]:
            super().on_step(step, preview)
            return frozenset({0})

    drawn = tiny.model.draw([tiny.payload(seed=1), tiny.payload()], Dropper())

    assert drawn[0] is None
    assert drawn[1] is not None
    assert difference(drawn[1].pictures[0], tiny.draw(tiny.payload())) <= 1


def test_sizes_follow_the_familys_grid(tiny: Tiny) -> None:
    grid = tiny.limits.grid_px
    wide = tiny.payload(width=64 + grid, height=64)

    tiny.limits.check(wide)

    assert tiny.draw(wide).shape == (64, 64 + grid, 3)
    if grid > 8:
        with pytest.raises(InvalidRequest, match="multiple of 16") as refused:
            tiny.limits.check(tiny.payload(width=72))
        assert refused.value.param == "width"


def test_the_pipelines_of_all_tasks_share_their_weights(tiny: Tiny) -> None:
    for task in TASKS:
        tiny.draw(tiny.payload(task))
    model: Any = tiny.model

    text, image, mask = (model._pipes[task] for task in TASKS)

    for name, part in text.components.items():
        if isinstance(part, torch.nn.Module):
            assert image.components[name] is part is mask.components[name], name


@pytest.mark.parametrize(
    ("name", "guidance", "negative"),
    [
        ("sd15", 30, True),
        ("sd-turbo", 1, False),
        ("sdxl", 30, True),
        ("sdxl-turbo", 1, False),
        ("sd3", 30, True),
        ("flux-dev", 30, False),
        ("flux-schnell", 1, False),
    ],
)
def test_guidance_is_refused_by_models_trained_without_it(
    name: str, guidance: float, negative: bool, tmp_path: Path
) -> None:
    limits = find_model(make_family(name, tmp_path / name))[1]
    fields = {**PAYLOAD, "scheduler": limits.schedulers[0]}

    assert (limits.max_guidance, limits.takes_negative_prompt) == (guidance, negative)
    if guidance == 1:
        limits.check(Payload(**{**fields, "guidance_scale": 0.0}))
        with pytest.raises(InvalidRequest, match="without guidance") as refused:
            limits.check(Payload(**{**fields, "guidance_scale": 4.0}))
        assert refused.value.param == "guidance_scale"
    if not negative:
        with pytest.raises(InvalidRequest, match="must be empty") as refused:
            limits.check(Payload(**{**fields, "guidance_scale": 0.0, "negative_prompt": "text"}))
        assert refused.value.param == "negative_prompt"


def test_the_card_decides_whether_a_model_is_a_turbo_model(tmp_path: Path) -> None:
    folder = make_family("sd-turbo", tmp_path / "model")
    card = folder / "model_card.json"
    card.write_text(json.dumps({"guidance": True}))
    assert find_model(folder)[1].max_guidance == 30

    card.write_text(json.dumps({"guidance": "no"}))
    with pytest.raises(StartError, match=r"model_card\.json.*guidance"):
        find_model(folder)


@pytest.mark.parametrize(
    ("name", "scheduler"), [("sd3", "ddim"), ("flux-dev", "euler"), ("sd15", "flow_euler")]
)
def test_a_scheduler_for_another_kind_of_model_is_refused(name: str, scheduler: str, tmp_path: Path) -> None:
    limits = find_model(make_family(name, tmp_path / name))[1]

    with pytest.raises(InvalidRequest, match=f"not {scheduler}") as refused:
        limits.check(Payload(**{**PAYLOAD, "scheduler": scheduler}))

    assert refused.value.param == "scheduler"


def test_a_refiner_draws_the_last_fifth_like_the_stock_pipelines(tmp_path: Path) -> None:
    folder = add_refiner(make_family("sdxl", tmp_path / "sdxl"))
    found, _ = find_model(folder)
    model = load_model(found, threads=1)
    request = Payload(**{**PAYLOAD, "num_inference_steps": 10, "scheduler": "euler"})
    onlooker = Onlooker()
    plain = load_model(find_model(make_family("sdxl", tmp_path / "plain"))[0], threads=1)

    ours = only(model, request, onlooker)
    base = diffusers.StableDiffusionXLPipeline.from_pretrained(folder, local_files_only=True)
    refiner = diffusers.StableDiffusionXLImg2ImgPipeline.from_pretrained(
        folder / "refiner",
        vae=base.vae,
        text_encoder_2=base.text_encoder_2,
        tokenizer_2=base.tokenizer_2,
        local_files_only=True,
    )
    common = {
        "prompt": request.prompt,
        "num_inference_steps": 10,
        "guidance_scale": 4.0,
        "generator": torch.Generator("cpu").manual_seed(7),
    }
    latents = base(**common, width=64, height=64, denoising_end=0.8, output_type="latent").images
    theirs = refiner(
        **common,
        image=latents,
        denoising_start=0.8,
        original_size=(64, 64),
        target_size=(64, 64),
        output_type="np",
    ).images[0]

    assert onlooker.steps == list(range(1, 11))
    assert difference(ours, (theirs * 255).round().astype(np.uint8)) <= 1
    assert difference(ours, only(plain, request)) > 1
    assert model.reference.revision != plain.reference.revision


def test_a_refiner_of_another_family_is_refused(tmp_path: Path) -> None:
    folder = make_family("sd15", tmp_path / "sd15")
    make_family("sd15", folder / "refiner")

    with pytest.raises(StartError, match="has a refiner"):
        find_model(folder)


@pytest.mark.parametrize("name", ["sd15", "sdxl", "sd3", "flux-dev"])
def test_a_truncated_weight_file_is_named_before_anything_loads(name: str, tmp_path: Path) -> None:
    folder = make_family(name, tmp_path / name)
    for file in sorted(folder.rglob("*.safetensors")):
        whole = file.read_bytes()
        for size_bytes in (len(whole) - 1, len(whole) // 2, 12, 0):
            file.write_bytes(whole[:size_bytes])
            with pytest.raises(StartError) as refused:
                find_model(folder)
            assert str(file) in str(refused.value)
        file.write_bytes(whole)
    find_model(folder)


@pytest.mark.parametrize(
    ("name", "part", "change"),
    [
        ("sd15", "unet", {"cross_attention_dim": 64}),
        ("sdxl", "vae", {"latent_channels": 8}),
        ("sd3", "transformer", {"num_layers": 3}),
        ("flux-dev", "transformer", {"num_layers": 3}),
        ("flux-dev", "text_encoder_2", {"d_ff": 64}),
        ("sd15", "text_encoder", {"num_hidden_layers": 3}),
    ],
)
def test_weights_that_do_not_match_their_configuration_are_named_at_start(
    name: str, part: str, change: dict[str, int], tmp_path: Path
) -> None:
    folder = make_family(name, tmp_path / name)
    file = folder / part / "config.json"
    file.write_text(json.dumps({**json.loads(file.read_text()), **change}))
    found, _ = find_model(folder)

    with pytest.raises(StartError) as refused:
        load_model(found, threads=1)

    assert str(folder / part) in str(refused.value)


@pytest.mark.parametrize("name", ["sdxl", "sd3", "flux-dev"])
def test_a_missing_part_is_named(name: str, tmp_path: Path) -> None:
    folder = make_family(name, tmp_path / name)
    shutil.rmtree(folder / "text_encoder_2")

    with pytest.raises(StartError) as refused:
        find_model(folder)

    assert "text_encoder_2" in str(refused.value)
