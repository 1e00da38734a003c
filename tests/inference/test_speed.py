"""Tests of the speed settings: what is chosen for which device and weights, and that each one takes effect."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from inference.contract import Payload
from inference.errors import StartError
from inference.pipelines.families import FLUX, STABLE_DIFFUSION_XL
from inference.pipelines.family import Pixels
from inference.pipelines.folder import WeightCounts
from inference.pipelines.form import Embedding
from inference.pipelines.found_model import find_model
from inference.pipelines.load_model import load_model
from inference.pipelines.prompts import PromptCache
from inference.pipelines.speed import GIB, Device, Speed, SpeedWishes, choose_speed
from inference.settings import read_settings
from tests.inference.client import PAYLOAD
from tests.inference.drawings import as_base64, noise_picture
from tests.inference.onlookers import Onlooker
from tests.inference.tiny_families import make_family

pytestmark = pytest.mark.filterwarnings("ignore:__array__ implementation:DeprecationWarning")

CPU = Device("cpu", "cpu", total_bytes=16 * GIB, free_bytes=8 * GIB, has_bfloat16=True)
SDXL_WEIGHTS = WeightCounts(all=3_500_000_000, largest_part=2_570_000_000)
FLUX_WEIGHTS = WeightCounts(all=16_900_000_000, largest_part=11_900_000_000)


def gpu(total_gib: int, *, bfloat16: bool = True) -> Device:
    return Device("cuda", "card", total_gib * GIB, int(total_gib * 0.97 * GIB), bfloat16)


def choose(
    device: Device, weights: WeightCounts = SDXL_WEIGHTS, family: Any = STABLE_DIFFUSION_XL, **wishes: Any
) -> Speed:
    return choose_speed(SpeedWishes(**wishes), device, family, weights, has_loras=False)


def test_a_cpu_draws_in_float32_without_optimizations() -> None:
    speed = choose(CPU)

    assert (speed.dtype, speed.offload, speed.max_batch) == ("float32", "none", 8)
    assert not (speed.compile or speed.fuse_qkv or speed.channels_last or speed.step_cache)


@pytest.mark.parametrize(
    ("device", "weights", "family", "dtype", "offload"),
    [
        (gpu(24), SDXL_WEIGHTS, STABLE_DIFFUSION_XL, "bfloat16", "none"),
        (gpu(16, bfloat16=False), SDXL_WEIGHTS, STABLE_DIFFUSION_XL, "float16", "none"),
        (gpu(8), SDXL_WEIGHTS, STABLE_DIFFUSION_XL, "bfloat16", "sequential"),
        (gpu(9), SDXL_WEIGHTS, STABLE_DIFFUSION_XL, "bfloat16", "model"),
        (gpu(80), FLUX_WEIGHTS, FLUX, "bfloat16", "none"),
        (gpu(32), FLUX_WEIGHTS, FLUX, "bfloat16", "model"),
        (gpu(24), FLUX_WEIGHTS, FLUX, "bfloat16", "sequential"),
    ],
)
def test_precision_and_offloading_depend_on_the_gpu(
    device: Device, weights: WeightCounts, family: Any, dtype: str, offload: str
) -> None:
    speed = choose(device, weights, family)

    assert (speed.dtype, speed.offload) == (dtype, offload)
    # At another batch size, rounding differs by more than one level.
    assert speed.max_batch == 1


def test_compiling_is_chosen_only_with_a_cache_directory() -> None:
    assert not choose(gpu(24)).compile
    assert choose(gpu(24), compile_cache_dir=Path("kept")).compile
    assert not choose(gpu(8), compile_cache_dir=Path("kept")).compile
    assert not choose(CPU, compile_cache_dir=Path("kept")).compile


def test_large_pictures_are_tiled_on_small_gpus() -> None:
    assert choose(gpu(16)).tile_from_px == 2 * 1024 * 1024
    assert choose(gpu(80)).tile_from_px is None
    assert choose(gpu(80), vae_tiling="on").tile_from_px == 0
    assert choose(gpu(16), vae_tiling="off").tile_from_px is None


def test_step_caching_is_only_for_flux_and_draws_requests_alone() -> None:
    speed = choose(gpu(80), FLUX_WEIGHTS, FLUX, step_cache=0.1, max_batch=8)

    assert (speed.step_cache, speed.max_batch) == (0.1, 1)
    with pytest.raises(StartError, match="INFERENCE_STEP_CACHE"):
        choose(gpu(80), step_cache=0.1)


@pytest.mark.parametrize("wish", [{"dtype": "float16"}, {"offload": "model"}, {"offload": "sequential"}])
def test_settings_that_need_a_gpu_are_refused_on_a_cpu(wish: dict[str, str]) -> None:
    with pytest.raises(StartError, match="needs a GPU"):
        choose(CPU, **wish)


def test_every_setting_is_read_from_the_environment() -> None:
    settings = read_settings(
        {
            "INFERENCE_DTYPE": "bfloat16",
            "INFERENCE_OFFLOAD": "none",
            "INFERENCE_COMPILE": "on",
            "INFERENCE_COMPILE_CACHE_DIR": "/cache",
            "INFERENCE_FUSE_QKV": "off",
            "INFERENCE_CHANNELS_LAST": "on",
            "INFERENCE_STEP_CACHE": "12",
            "INFERENCE_VAE_TILING": "on",
            "INFERENCE_VAE_SLICING": "off",
            "INFERENCE_PROMPT_CACHE_MB": "2",
            "INFERENCE_MAX_BATCH": "3",
            "INFERENCE_LORA_DIR": "/loras",
        }
    )

    assert settings.lora_dir == Path("/loras")
    assert settings.speed == SpeedWishes(
        dtype="bfloat16",
        offload="none",
        compile="on",
        compile_cache_dir=Path("/cache"),
        fuse_qkv="off",
        channels_last="on",
        step_cache=0.12,
        vae_tiling="on",
        vae_slicing="off",
        prompt_cache_bytes=2 * 1024 * 1024,
        max_batch=3,
    )
    assert read_settings({}).speed == SpeedWishes()


def test_every_wrong_setting_is_named() -> None:
    names = (
        "DTYPE",
        "OFFLOAD",
        "COMPILE",
        "FUSE_QKV",
        "CHANNELS_LAST",
        "STEP_CACHE",
        "VAE_TILING",
        "VAE_SLICING",
    )
    names += ("PROMPT_CACHE_MB", "MAX_BATCH")

    with pytest.raises(StartError) as refused:
        read_settings({f"INFERENCE_{name}": "wrong" for name in names})

    for name in names:
        assert f"INFERENCE_{name}=" in str(refused.value)


def embedding(size: int) -> Embedding:
    return {"prompt_embeds": torch.zeros(1, size)}


def test_the_prompt_cache_keeps_the_latest_embeddings_within_its_size() -> None:
    cache = PromptCache(max_bytes=800)
    for name in ("a", "b", "a", "c"):
        cache.get(name, lambda: embedding(100))

    # `b` was the least recently used.
    assert (cache.hits, cache.misses, cache.size_bytes) == (1, 3, 800)
    cache.get("a", lambda: pytest.fail("forgotten"))
    cache.get("b", lambda: embedding(100))
    assert cache.misses == 4
    cache.get("large", lambda: embedding(1000))
    assert cache.size_bytes == 800


def payload(**changes: Any) -> Payload:
    return Payload(**{**PAYLOAD, **changes})


def load(folder: Path, **wishes: Any) -> Any:
    return load_model(find_model(folder)[0], threads=1, wishes=SpeedWishes(**wishes))


def draw(model: Any, *payloads: Payload) -> list[Pixels]:
    return [drawing.pictures[0] for drawing in model.draw(payloads, Onlooker()) if drawing is not None]


def difference(one: Pixels, other: Pixels) -> int:
    return int(np.abs(one.astype(int) - other.astype(int)).max())


@pytest.fixture(scope="module")
def sd15(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return make_family("sd15", tmp_path_factory.mktemp("speed") / "sd15")


@pytest.fixture(scope="module")
def flux(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return make_family("flux-dev", tmp_path_factory.mktemp("speed") / "flux-dev")


def test_a_text_is_encoded_once_and_gives_the_same_picture(
    sd15: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    model = load(sd15)
    calls: list[Any] = []
    encoder = model.pipe.text_encoder
    forward = encoder.forward
    encoder.forward = lambda *a, **k: calls.append(1) or forward(*a, **k)

    first = draw(model, payload(), payload(seed=8))
    second = draw(model, payload(), payload(seed=8))
    other = load(sd15, prompt_cache_bytes=0)

    # The prompt and the empty negative prompt.
    assert len(calls) == 2
    assert all(np.array_equal(a, b) for a, b in zip(first, second, strict=True))
    assert np.array_equal(draw(other, payload())[0], draw(model, payload())[0])
    events = [json.loads(line) for line in capsys.readouterr().err.splitlines()]
    encoded = [(e["hits"], e["misses"]) for e in events if e["event"] == "texts_encoded"]
    assert encoded[:2] == [(2, 2), (4, 0)]
    # Prompts are never logged.
    assert "apple" not in json.dumps(events)


def test_the_chosen_settings_are_logged(sd15: Path, capsys: pytest.CaptureFixture[str]) -> None:
    load(sd15, max_batch=3)

    events = [json.loads(line) for line in capsys.readouterr().err.splitlines()]
    chosen = next(event for event in events if event["event"] == "speed_chosen")
    assert (chosen["dtype"], chosen["max_batch"], chosen["attention"]) == ("float32", 3, "sdpa")


def test_weights_are_loaded_as_bfloat16_on_request(sd15: Path) -> None:
    model = load(sd15, dtype="bfloat16")

    assert {p.dtype for p in model.pipe.unet.parameters()} == {torch.bfloat16}
    assert model.batch_key(payload()) is None
    # The same picture, with other rounding.
    assert (
        np.abs(draw(model, payload())[0].astype(int) - draw(load(sd15), payload())[0].astype(int)).mean() < 8
    )


@pytest.mark.parametrize(
    ("wishes", "looks"),
    [
        ({"fuse_qkv": "on"}, lambda m: any("to_qkv" in name for name, _ in m.pipe.unet.named_modules())),
        (
            {"channels_last": "on"},
            lambda m: m.pipe.unet.conv_in.weight.is_contiguous(memory_format=torch.channels_last),
        ),
    ],
)
def test_a_layout_takes_effect_and_draws_the_same_picture(
    sd15: Path, wishes: dict[str, str], looks: Callable[[Any], bool]
) -> None:
    plain, model = load(sd15), load(sd15, **wishes)

    assert looks(model)
    assert not looks(plain)
    assert difference(draw(model, payload())[0], draw(plain, payload())[0]) <= 1


def test_decoding_by_tiles_and_one_by_one_takes_effect(sd15: Path) -> None:
    def decoded(model: Any) -> list[int]:
        sizes: list[int] = []
        decode = model.pipe.vae.decode
        model.pipe.vae.decode = lambda latents, *a, **k: (
            sizes.append(len(latents)) or decode(latents, *a, **k)
        )
        draw(model, payload(), payload(seed=8))
        return sizes

    tiled = load(sd15, vae_tiling="on")
    draw(tiled, payload())

    assert decoded(load(sd15)) == [2]
    assert decoded(load(sd15, vae_slicing="on")) == [1, 1]
    assert tiled.pipe.vae.use_tiling
    assert not load(sd15).pipe.vae.use_tiling


def test_step_caching_skips_blocks_and_resets_after_a_stop(flux: Path) -> None:
    def blocks_run(model: Any, request: Payload) -> tuple[int, Pixels]:
        calls: list[int] = []
        block = model.pipe.transformer.single_transformer_blocks[0].attn
        handle = block.register_forward_hook(lambda *_: calls.append(1))
        picture = draw(model, request)[0]
        handle.remove()
        return len(calls), picture

    class Stopper(Onlooker):
        def on_step(self, step: int, preview: Any) -> frozenset[int]:
            if step == 2:
                raise KeyError("stop")
            return frozenset()

    request = payload(scheduler="flow_euler", num_inference_steps=12)
    plain, cached = load(flux), load(flux, step_cache=0.5)
    every, exact = blocks_run(plain, request)
    fewer, near = blocks_run(cached, request)

    assert every == 12
    assert fewer < every
    assert np.abs(exact.astype(int) - near.astype(int)).mean() < 30
    with pytest.raises(KeyError):
        cached.draw([payload(scheduler="flow_euler", seed=3, num_inference_steps=12)], Stopper())
    assert np.array_equal(draw(cached, request)[0], near)
    over = payload(
        scheduler="flow_euler", num_inference_steps=12, image=as_base64(noise_picture(1)), strength=0.9
    )
    assert blocks_run(cached, over)[0] < over.steps_to_draw


COMPILE = """
import json, sys, torch
from pathlib import Path
from inference.serve import set_library_environment
set_library_environment()
from inference.contract import Payload
from inference.pipelines.found_model import find_model
from inference.pipelines.load_model import load_model
from inference.pipelines.speed import SpeedWishes
from torch._dynamo.utils import counters
from tests.inference.client import PAYLOAD
from tests.inference.onlookers import Onlooker
import numpy as np
found, _ = find_model(Path(sys.argv[1]))
request = Payload(**PAYLOAD)
plain = load_model(found, 1).draw([request], Onlooker())[0].pictures[0]
model = load_model(found, 1, SpeedWishes(compile="on", compile_cache_dir=Path(sys.argv[2])))
compiled = model.draw([request], Onlooker())[0].pictures[0]
print(json.dumps({
    "difference": int(np.abs(plain.astype(int) - compiled.astype(int)).max()),
    "frames": counters["stats"]["unique_graphs"],
    "hits": counters["inductor"]["fxgraph_cache_hit"],
    "misses": counters["inductor"]["fxgraph_cache_miss"],
}))
"""


@pytest.mark.slow
@pytest.mark.timeout(900)
def test_compiled_blocks_draw_the_same_and_are_kept_for_the_next_start(sd15: Path, tmp_path: Path) -> None:
    def start() -> dict[str, int]:
        done = subprocess.run(
            [sys.executable, "-c", COMPILE, str(sd15), str(tmp_path / "kept")],
            cwd=Path(__file__).parents[2],
            env={
                **os.environ,
                "OMP_NUM_THREADS": "1",
                "PYTHONPATH": ".",
                "TORCHINDUCTOR_COMPILE_THREADS": "1",
            },
            capture_output=True,
            text=True,
            check=False,
        )
        assert done.returncode == 0, done.stderr[-2000:]
        found: dict[str, int] = json.loads(done.stdout.splitlines()[-1])
        return found

    first, second = start(), start()

    assert first["difference"] <= 1 and second["difference"] <= 1
    assert first["frames"] > 0
    assert (first["hits"], second["misses"]) == (0, 0)
    assert first["misses"] > 0
    assert second["hits"] == first["misses"]


@pytest.mark.gpu
@pytest.mark.skipif(not torch.cuda.is_available(), reason="needs a GPU")
@pytest.mark.parametrize("offload", ["none", "model", "sequential"])
def test_every_kind_of_offloading_draws_the_same_picture_on_a_gpu(sd15: Path, offload: str) -> None:
    model = load(sd15, offload=offload, dtype="float32")

    assert model.device == "cuda"
    assert (next(model.pipe.unet.parameters()).device.type == "cuda") == (offload == "none")
    assert difference(draw(model, payload())[0], draw(load(sd15, dtype="float32"), payload())[0]) <= 1
