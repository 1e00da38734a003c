"""Tests of the model folder: which folders are refused, and the name and revision of a folder."""

from __future__ import annotations

import json
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from inference.errors import StartError
from inference.pipelines.folder import Revision, inspect_folder
from inference.pipelines.found_model import find_model


@pytest.fixture
def folder(tiny_folder: Path, tmp_path: Path) -> Path:
    """A copy of the tiny model that a test can damage."""
    return shutil.copytree(tiny_folder, tmp_path / "copy")


def edit(file: Path, change: Callable[[dict[str, Any]], object]) -> None:
    """Change a JSON file in place."""
    value = json.loads(file.read_text())
    change(value)
    file.write_text(json.dumps(value))


@pytest.mark.parametrize(
    "name",
    [
        "unet/diffusion_pytorch_model.bin",
        "text_encoder/pytorch_model.bin",
        "vae/weights.PT",
        "model.ckpt",
        "unet/weights.pth",
        "unet/cache.pkl",
        "deep/er/still.pickle",
        "embedding.npz",
    ],
)
def test_weights_that_can_run_code_are_refused_by_file(folder: Path, name: str) -> None:
    (folder / name).parent.mkdir(parents=True, exist_ok=True)
    (folder / name).write_bytes(b"\x80\x04.")

    with pytest.raises(StartError, match="safetensors") as refused:
        find_model(folder)

    assert str(folder / name) in str(refused.value)


@pytest.mark.parametrize("name", ["pipeline.py", "unet/my_unet.py", "vae/fast.so"])
def test_code_in_the_folder_is_refused(folder: Path, name: str) -> None:
    (folder / name).write_text("")

    with pytest.raises(StartError, match="must not hold code"):
        find_model(folder)


@pytest.mark.parametrize(
    ("change", "words"),
    [
        (lambda i: i.update(_class_name=["pipeline", "MyPipeline"]), "load code"),
        (lambda i: i.update(_class_name="KandinskyPipeline"), "not a family"),
        (lambda i: i.update(_class_name="FluxPipeline"), "`text_encoder_2|`tokenizer_2"),
        (lambda i: i.pop("_class_name"), "load code"),
        (lambda i: i.update(unet=["my_unet", "UNet2DConditionModel"]), "code of the folder's own"),
        (lambda i: i.update(unet=["diffusers", "MyUNet"]), "`unet` must be"),
        (lambda i: i.update(vae=[None, None]), "`vae` must be"),
        (lambda i: i.update(scheduler=["diffusers", "AutoencoderKL"]), "scheduler"),
        (lambda i: i.update(safety_checker=["transformers", "CLIPModel"]), "not there"),
    ],
)
def test_an_index_that_asks_for_other_code_is_refused(
    folder: Path, change: Callable[[dict[str, Any]], object], words: str
) -> None:
    edit(folder / "model_index.json", change)

    with pytest.raises(StartError, match=words):
        find_model(folder)


def test_a_configuration_that_asks_for_remote_code_is_refused(folder: Path) -> None:
    edit(folder / "text_encoder/config.json", lambda c: c.update(auto_map={"AutoModel": "x.Y"}))

    with pytest.raises(StartError, match="auto_map"):
        find_model(folder)


@pytest.mark.parametrize("name", ["model_index.json", "unet/config.json", "scheduler/scheduler_config.json"])
def test_a_missing_or_broken_file_is_named(folder: Path, name: str) -> None:
    (folder / name).write_text("{")
    with pytest.raises(StartError) as broken:
        find_model(folder)
    (folder / name).unlink()
    with pytest.raises(StartError) as missing:
        find_model(folder)

    assert str(folder / name) in str(broken.value)
    assert str(folder / name) in str(missing.value)


@pytest.mark.parametrize(
    "name", ["model_index.json", "unet/config.json", "tokenizer/vocab.json", "model_card.json", "extra.json"]
)
def test_a_file_that_is_nested_too_deeply_is_named(folder: Path, name: str) -> None:
    (folder / name).write_text('{"a": ' + "[" * 100_000 + "]" * 100_000 + "}")

    with pytest.raises(StartError) as refused:
        find_model(folder)

    assert str(folder / name) in str(refused.value)


def test_weights_whose_header_is_nested_too_deeply_are_named(folder: Path) -> None:
    weights = next((folder / "unet").glob("*.safetensors"))
    header = b"[" * 100_000 + b"]" * 100_000
    weights.write_bytes(len(header).to_bytes(8, "little") + header)

    with pytest.raises(StartError) as refused:
        find_model(folder)

    assert str(weights) in str(refused.value)


@pytest.mark.parametrize("part", ["unet", "vae", "text_encoder"])
def test_missing_weights_are_named_by_their_part(folder: Path, part: str) -> None:
    for file in (folder / part).glob("*.safetensors"):
        file.unlink()

    with pytest.raises(StartError) as refused:
        find_model(folder)

    assert str(folder / part) in str(refused.value)


def test_a_missing_folder_is_named(tmp_path: Path) -> None:
    with pytest.raises(StartError, match="nowhere"):
        find_model(tmp_path / "nowhere")


def test_the_name_comes_from_the_card_or_the_folder(folder: Path) -> None:
    from_card = inspect_folder(folder).name
    (folder / "model_card.json").unlink()
    from_folder = inspect_folder(folder).name
    weights = folder.parent / "pocket" / "weights"
    shutil.copytree(folder, weights)

    assert (from_card, from_folder, inspect_folder(weights).name) == ("tiny", "copy", "pocket")


@pytest.mark.parametrize("card", [{"name": "a/b"}, {"name": ""}, {"name": 7}, {"max_side_px": "big"}])
def test_a_wrong_model_card_is_refused(folder: Path, card: dict[str, Any]) -> None:
    (folder / "model_card.json").write_text(json.dumps(card))

    with pytest.raises(StartError, match=r"model_card\.json"):
        find_model(folder)


def test_the_revision_does_not_depend_on_the_path_and_changes_with_any_weight(
    folder: Path, tmp_path: Path
) -> None:
    original = inspect_folder(folder).revision()
    elsewhere = inspect_folder(shutil.copytree(folder, tmp_path / "elsewhere")).revision()
    weights = folder / "unet/diffusion_pytorch_model.safetensors"
    data = bytearray(weights.read_bytes())
    data[-1] ^= 1
    weights.write_bytes(data)

    assert original == elsewhere
    assert len(original) == 12
    assert inspect_folder(folder).revision() != original


def test_the_revision_does_not_depend_on_the_card(folder: Path) -> None:
    before = inspect_folder(folder).revision()
    (folder / "model_card.json").unlink()

    assert inspect_folder(folder).revision() == before


def test_a_file_that_disappears_during_hashing_is_named(folder: Path) -> None:
    inspected = inspect_folder(folder)
    (folder / "model_index.json").unlink()

    with pytest.raises(StartError, match=r"model_index\.json"):
        Revision(inspected).wait()


def test_limits_follow_the_models_native_size(folder: Path) -> None:
    (folder / "model_card.json").unlink()

    limits = find_model(folder)[1]

    assert (limits.min_side_px, limits.max_side_px, limits.max_area_px) == (8, 256, 128 * 128)
    # With a cosine schedule, ancestral steps give NaN.
    assert limits.schedulers == ("ddim", "unipc", "dpmpp_2m", "euler", "lcm")


def test_euler_is_not_offered_to_a_model_that_predicts_pictures(folder: Path) -> None:
    edit(folder / "scheduler/scheduler_config.json", lambda c: c.update(prediction_type="sample"))

    assert find_model(folder)[1].schedulers == ("ddim", "unipc", "dpmpp_2m", "lcm")
