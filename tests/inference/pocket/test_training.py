"""Tests of training runs: they learn, resume exactly, and write a pipeline."""

from __future__ import annotations

import tomllib
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import torch
from safetensors.torch import load_file

from inference.pipelines.found_model import find_model
from inference.pocket import diffusion, enlarge, parts
from inference.pocket.autoencoder import AutoencoderPlan, train_autoencoder
from inference.pocket.dataset import DataSet
from inference.pocket.diffusion import DiffusionPlan, train_diffusion
from inference.pocket.enlarge import EnlargePlan, train_enlarged
from inference.pocket.errors import PocketError
from inference.pocket.folders import HERE
from inference.pocket.selection import EVERYTHING, select
from tests.inference.tiny_model import make_tiny_model

# Raised in diffusers' schedulers with numpy 2.
pytestmark = [
    pytest.mark.slow,
    pytest.mark.filterwarnings("ignore:__array__ implementation:DeprecationWarning"),
]


@pytest.fixture(scope="module")
def start(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A pipeline folder with random weights to start from."""
    return make_tiny_model(tmp_path_factory.mktemp("start") / "tiny")


@pytest.fixture
def plan(shapes_root: Path, start: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> DiffusionPlan:
    """Four steps of four pictures, in the test's own work folder."""
    (tmp_path / "dataset").symlink_to(shapes_root / "dataset")
    # The sheet is really drawn, but with one prompt instead of all.
    monkeypatch.setattr(diffusion, "SHEET_PROMPTS", ("a red disc",))
    return DiffusionPlan(
        root=tmp_path,
        name="run",
        start=start,
        autoencoder=None,
        selection=EVERYTHING,
        samples=16,
        minutes=10,
        batch=4,
        rate=1e-3,
        decay=0.5,
        seed=0,
        ranks=1,
        save_every_minutes=10,
    )


def unet_of(folder: Path) -> dict[str, torch.Tensor]:
    return load_file(folder / "unet" / "diffusion_pytorch_model.safetensors")


def test_a_run_changes_the_weights_and_leaves_a_pipeline_and_a_sheet(plan: DiffusionPlan) -> None:
    train_diffusion(plan)
    assert find_model(plan.pipeline)[0].folder.pipeline_class == "StableDiffusionPipeline"
    before, after = unet_of(plan.start), unet_of(plan.pipeline)
    assert all(value.dtype == torch.float16 for value in after.values())
    assert any(not torch.equal(after[name].float(), before[name].half().float()) for name in before)
    assert list(plan.checkpoint.parent.glob("sheet-*.png"))


def test_a_run_in_two_sessions_equals_an_uninterrupted_one(plan: DiffusionPlan) -> None:
    # The rate must not depend on the length of the run, or the shorter first session would have another one.
    train_diffusion(replace(plan, name="parts", samples=8, decay=1e-9))
    broken_off = load_file(replace(plan, name="parts").checkpoint)
    train_diffusion(replace(plan, name="parts", decay=1e-9))
    train_diffusion(replace(plan, name="straight", decay=1e-9))
    parted = load_file(replace(plan, name="parts").checkpoint)
    straight = load_file(replace(plan, name="straight").checkpoint)
    assert parted.keys() == straight.keys()
    assert any(not torch.equal(broken_off[name], straight[name]) for name in straight)
    for name, value in straight.items():
        assert torch.equal(parted[name], value), name


def test_resuming_a_finished_run_changes_nothing(plan: DiffusionPlan) -> None:
    train_diffusion(plan)
    first = load_file(plan.checkpoint)
    train_diffusion(plan)
    assert all(torch.equal(first[name], value) for name, value in load_file(plan.checkpoint).items())


def test_a_checkpoint_of_another_run_is_refused(plan: DiffusionPlan) -> None:
    train_diffusion(replace(plan, samples=4))
    with pytest.raises(PocketError, match="other settings"):
        train_diffusion(replace(plan, seed=1))


def test_a_broken_checkpoint_is_refused_with_its_name(plan: DiffusionPlan) -> None:
    plan.checkpoint.parent.mkdir(parents=True)
    plan.checkpoint.write_bytes(b"not a checkpoint")
    with pytest.raises(PocketError, match=r"state\.safetensors is not a checkpoint"):
        train_diffusion(plan)


def test_an_autoencoder_can_be_trained_and_used_with_a_fresh_unet(plan: DiffusionPlan) -> None:
    train_autoencoder(
        AutoencoderPlan(
            root=plan.root,
            name="autoencoder",
            start=None,
            latent_channels=4,
            downscale=4,
            samples=8,
            minutes=10,
            batch=4,
            rate=1e-3,
            seed=0,
        )
    )
    vae = plan.root / "runs" / "autoencoder" / "vae"
    train_diffusion(replace(plan, name="fresh", autoencoder=vae, samples=4))
    pipe = parts.open_pipeline(replace(plan, name="fresh").pipeline)
    assert pipe.unet.config.in_channels == pipe.vae.config.latent_channels == 4
    assert pipe.unet.config.sample_size * pipe.vae_scale_factor == 64


def enlarge_plan(plan: DiffusionPlan, **changes: object) -> EnlargePlan:
    """Return a plan of four steps of two pictures, on the latents of the small pipeline's autoencoder."""
    made = EnlargePlan(
        root=plan.root,
        name="large",
        like=plan.root / "small",
        samples=8,
        minutes=10,
        batch=2,
        rate=1e-3,
        seed=0,
    )
    return replace(made, **changes)  # type: ignore[arg-type]


@pytest.fixture
def small(plan: DiffusionPlan) -> Any:
    """An autoencoder of 64 px with random weights, saved where `enlarge_plan` expects it."""
    torch.manual_seed(0)
    autoencoder = parts.build_autoencoder(4, 4, width=8)
    autoencoder.save_pretrained(plan.root / "small")
    return autoencoder


def test_an_enlarged_autoencoder_decodes_the_small_ones_latents_at_twice_the_side(
    plan: DiffusionPlan, small: Any
) -> None:
    train_enlarged(enlarge_plan(plan))
    large = parts.load_autoencoder(plan.root / "runs" / "large" / "vae")
    assert large.config.scaling_factor == small.config.scaling_factor
    picture = torch.rand(1, 3, 128, 128) * 2 - 1
    latents = large.encode(picture).latents
    assert latents.shape == small.encode(picture[..., ::2, ::2]).latents.shape == (1, 4, 16, 16)
    assert large.decode(latents).sample.shape == (1, 3, 128, 128)


def test_a_resumed_enlarged_autoencoder_equals_an_uninterrupted_one(
    plan: DiffusionPlan, small: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    # The rate must not depend on the length of the run, or the shorter first session would have another one.
    monkeypatch.setattr(enlarge, "rate_share", lambda step, done: 1.0)
    train_enlarged(enlarge_plan(plan, name="straight"))
    train_enlarged(enlarge_plan(plan, name="parts", samples=4))
    train_enlarged(enlarge_plan(plan, name="parts"))
    straight, parted = (
        load_file(plan.root / "runs" / name / "state.safetensors") for name in ("straight", "parts")
    )
    assert parted.keys() == straight.keys()
    for name, value in straight.items():
        assert torch.equal(parted[name], value), name


def test_a_pipeline_too_large_to_ship_is_not_put_in_place(
    start: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(parts, "LARGEST_BYTES", 1000)
    with pytest.raises(PocketError, match="may be shipped"):
        parts.save_pipeline(parts.load_parts(start), tmp_path / "weights")
    assert not (tmp_path / "weights").exists()


def test_a_selection_with_things_that_the_data_set_lacks_names_them(shapes: DataSet) -> None:
    with pytest.raises(PocketError, match="grinning cat"):
        select(shapes, "everyday")


def test_the_everyday_selection_has_400_things_including_the_suggested_prompts() -> None:
    selections = tomllib.loads((HERE / "selection.toml").read_text(encoding="utf-8"))
    names = selections["everyday"]["names"]
    assert {"red apple", "rocket", "grinning cat"} <= set(names)
    assert len(set(names)) == len(names) >= 400
    assert len(selections["everyday"]["styles"]) == 3


def test_an_unknown_selection_names_the_known_ones(shapes: DataSet) -> None:
    with pytest.raises(PocketError, match="everyday, everything"):
        select(shapes, "nothing")
