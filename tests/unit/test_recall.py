"""Tests of reading recipes from pictures: the formats of other programs, and hostile files."""

from __future__ import annotations

import io
import json
import math
import tracemalloc
import zipfile
from datetime import UTC, datetime

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from PIL import Image as Pillow

from services.errors import InvalidRequest
from services.formats.embedded_text import MAX_FILE_BYTES
from services.formats.png_metadata import PictureParameters, embed
from services.recipes.read_recipe import NOTHING_SAID, read_recipe
from services.recipes.recipe import Recipe
from tests import hostile_files as files

FROM_A1111 = Recipe(
    source="A1111",
    prompt="a red apple",
    negative_prompt="blurry",
    seed=4242,
    steps=25,
    guidance=6.5,
    sampler="Euler",
    scheduler="euler",
    width=512,
    height=768,
    model="dreamshaper_8",
)
OURS = PictureParameters(
    prompt="ein Apfel ![x](http://evil.example/x.png)",
    negative_prompt="",
    steps=12,
    scheduler="dpmpp_2m",
    guidance=4.0,
    seed=2**32 - 1,
    width=128,
    height=96,
    model="pocket",
    model_revision="pocket-2",
    job="01K9ZQ4T7M3N5P6R8S0V2W4X6Y",
    image="01K9ZQ4T7M3N5P6R8S0V2W4X6Y-0",
    created_at=datetime(2026, 11, 21, tzinfo=UTC),
)


def refusal(file: bytes) -> str:
    with pytest.raises(InvalidRequest) as refused:
        read_recipe(file)
    assert refused.value.param == "file"
    return refused.value.message


def test_an_atelier_picture_yields_the_complete_recipe() -> None:
    assert read_recipe(embed(files.png(), OURS)) == Recipe(
        source="Atelier",
        prompt=OURS.prompt,
        negative_prompt="",
        seed=2**32 - 1,
        steps=12,
        guidance=4.0,
        sampler="dpmpp_2m",
        scheduler="dpmpp_2m",
        width=128,
        height=96,
        model="pocket",
    )


def test_an_atelier_picture_made_from_another_picture_is_marked_as_such() -> None:
    over = OURS.model_copy(update={"strength": 0.6, "image_sha256": "a" * 64})
    assert read_recipe(embed(files.png(), over)).drawn_over


def test_a1111_is_read_from_the_text_of_a_png() -> None:
    assert read_recipe(files.png({"parameters": files.A1111})) == FROM_A1111


@pytest.mark.parametrize("kind", ["JPEG", "WEBP", "PNG"])
@pytest.mark.parametrize("order", ["<", ">"])
@pytest.mark.parametrize("encoding", ["utf-16-le", "utf-16-be", "bom", "ascii", "none", "bare"])
def test_a1111_is_read_from_exif_in_every_encoding(kind: str, order: str, encoding: str) -> None:
    block = files.tiff(files.comment_of(files.A1111, encoding), order=order)
    assert read_recipe(files.with_exif(kind, block)) == FROM_A1111


@pytest.mark.parametrize("order", ["<", ">"])
@pytest.mark.parametrize("encoding", ["utf-16-le", "utf-16-be"])
def test_a_chinese_prompt_is_not_read_with_the_wrong_byte_order(order: str, encoding: str) -> None:
    prompt = "一" * 500
    assert prompt.encode("utf-16-le").decode("utf-16-be").isascii()
    text = files.A1111.replace("a red apple", prompt)
    block = files.tiff(files.comment_of(text, encoding), order=order)
    assert read_recipe(files.with_exif("JPEG", block)).prompt == prompt


def test_pillow_can_read_the_exif_of_the_test_files() -> None:
    block = files.tiff(files.comment_of("hello", "ascii"), {files.MODEL: b"a model"}, place=True)
    with Pillow.open(io.BytesIO(files.with_exif("JPEG", block))) as opened:
        exif = opened.getexif()
    assert exif[files.MODEL] == "a model"
    assert exif.get_ifd(files.EXIF_TABLE)[files.USER_COMMENT] == b"ASCII\0\0\0hello"
    degrees = exif.get_ifd(files.GPS_TABLE)[2]
    assert math.isclose(degrees[0] + degrees[1] / 60 + degrees[2] / 3600, files.PLACE, abs_tol=1e-4)


def test_lines_that_extensions_add_below_the_values_are_ignored() -> None:
    text = files.A1111 + "\nTemplate: a {red|blue} apple"
    assert read_recipe(files.png({"parameters": text})) == FROM_A1111


def test_a_prompt_line_that_starts_with_steps_is_not_read_as_the_values() -> None:
    text = files.A1111.replace("a red apple", "climb\nSteps: 9 of them")
    found = read_recipe(files.png({"parameters": text}))
    assert (found.prompt, found.steps) == ("climb\nSteps: 9 of them", 25)


@pytest.mark.parametrize(
    ("sampler", "scheduler"),
    [
        ("DPM++ 2M", "dpmpp_2m"),
        ("DDIM", "ddim"),
        ("UniPC", "unipc"),
        ("DPM++ 2M Karras", None),
        ("Euler a", None),
        ("DPM++ 2M, Schedule type: Karras", None),
        ("DPM++ 2M, Schedule type: Automatic", "dpmpp_2m"),
    ],
)
def test_only_samplers_with_a_matching_scheduler_are_mapped(sampler: str, scheduler: str | None) -> None:
    text = f"a cat\nSteps: 5, Sampler: {sampler}, Seed: 1"
    assert read_recipe(files.png({"parameters": text})).scheduler == scheduler


SWARM = {
    "sui_image_params": {
        "prompt": "a photo of a cat",
        "model": "OfficialStableDiffusion/sd_xl_base_1.0",
        "seed": 1,
        "steps": "20",
        "cfgscale": "7.0",
        "width": 1024,
        "height": 1024,
        "sampler": "dpmpp_2m",
        "scheduler": "normal",
        "negativeprompt": "dog",
        "swarm_version": "0.9.3.1",
    },
    "sui_extra_data": {"date": "2024-11-13"},
}
FROM_SWARM = Recipe(
    source="SwarmUI",
    prompt="a photo of a cat",
    negative_prompt="dog",
    seed=1,
    steps=20,
    guidance=7.0,
    sampler="dpmpp_2m",
    scheduler="dpmpp_2m",
    width=1024,
    height=1024,
    model="OfficialStableDiffusion/sd_xl_base_1.0",
)


def test_swarm_is_read_from_png_and_from_jpeg() -> None:
    text = json.dumps(SWARM, indent=2)
    assert read_recipe(files.png({"parameters": text})) == FROM_SWARM
    block = files.tiff(files.comment_of(text, "utf-16-le"), order="<")
    assert read_recipe(files.with_exif("JPEG", block)) == FROM_SWARM


@pytest.mark.parametrize("name", ["model_name", "name"])
def test_invoke_is_read_in_its_third_form(name: str) -> None:
    text = json.dumps(
        {
            "app_version": "3.3.0post3",
            "positive_prompt": "landscape",
            "negative_prompt": "low quality",
            "width": 768,
            "height": 432,
            "seed": 356120443,
            "cfg_scale": 7.5,
            "steps": 50,
            "scheduler": "dpmpp_2m_sde_k",
            "model": {name: "amixx", "base_model": "sd-1"},
        }
    )
    assert read_recipe(files.png({"invokeai_metadata": text})) == Recipe(
        source="InvokeAI",
        prompt="landscape",
        negative_prompt="low quality",
        seed=356120443,
        steps=50,
        guidance=7.5,
        sampler="dpmpp_2m_sde_k",
        width=768,
        height=432,
        model="amixx",
    )


def test_invoke_guidance_for_flux_is_read() -> None:
    text = json.dumps({"positive_prompt": "a fox", "guidance": 3.5, "cfg_scale": None})
    assert read_recipe(files.png({"invokeai_metadata": text})).guidance == 3.5


def test_invoke_is_read_in_its_first_two_forms() -> None:
    image = {"prompt": [{"prompt": "a cat [blurry] [dark]", "weight": 1.0}], "steps": 50, "cfg_scale": 5}
    image |= {"seed": 2980747362, "width": 512, "height": 768, "sampler": "k_euler"}
    second = {"app_id": "invoke-ai/InvokeAI", "model_weights": "deliberate", "image": image}
    wanted = Recipe(
        source="InvokeAI",
        prompt="a cat",
        negative_prompt="blurry, dark",
        seed=2980747362,
        steps=50,
        guidance=5.0,
        sampler="k_euler",
        scheduler="euler",
        width=512,
        height=768,
        model="deliberate",
    )
    assert read_recipe(files.png({"sd-metadata": json.dumps(second)})) == wanted
    dream = '"a cat [blurry] [dark]" -s 50 -S 2980747362 -W 512 -H 768 -C 5.0 -A k_euler -G 0.9'
    assert read_recipe(files.png({"Dream": dream})) == wanted.model_copy(update={"model": None})


FROM_COMFY = Recipe(
    source="ComfyUI",
    prompt="a glass bottle",
    negative_prompt="watermark",
    seed=156680208700286,
    steps=20,
    guidance=8.0,
    sampler="euler",
    scheduler="euler",
    width=512,
    height=640,
    model="dream_8",
)


def test_comfy_is_read_from_png_webp_and_jpeg() -> None:
    graph = files.dumps(files.comfy_graph())
    assert read_recipe(files.png({"prompt": graph, "workflow": "{}"})) == FROM_COMFY
    block = files.tiff(None, {files.MODEL: f"prompt:{graph}".encode(), 0x010F: b"workflow:{}"})
    assert read_recipe(files.with_exif("WEBP", block)) == FROM_COMFY
    both = files.comment_of(f'{{"prompt": {graph}, "workflow": {{}}}}', "utf-16-be")
    assert read_recipe(files.with_exif("JPEG", files.tiff(both))) == FROM_COMFY


def test_a_comfy_graph_with_a_node_per_value_is_read_through_its_links() -> None:
    assert read_recipe(files.png({"prompt": files.dumps(files.flux_graph())})) == Recipe(
        source="ComfyUI",
        prompt="a fox",
        seed=219670278747233,
        steps=28,
        guidance=3.5,
        sampler="euler simple",
        width=1024,
        height=768,
        model="flux1-dev",
    )


def test_comfy_prompts_are_traced_through_a_controlnet_and_a_text_node() -> None:
    graph = files.comfy_graph(positive=["20", 0], negative=["20", 1])
    graph["20"] = {
        "class_type": "ControlNetApplyAdvanced",
        "inputs": {"positive": ["6", 0], "negative": ["21", 0], "control_net": ["22", 0]},
    }
    graph["21"] = {"class_type": "CLIPTextEncode", "inputs": {"text": ["23", 0], "clip": ["4", 1]}}
    graph["23"] = {"class_type": "PrimitiveString", "inputs": {"value": "from a node"}}
    found = read_recipe(files.png({"prompt": files.dumps(graph)}))
    assert (found.prompt, found.negative_prompt) == ("a glass bottle", "from a node")


def test_comfy_texts_are_combined_and_a_zeroed_out_text_is_dropped() -> None:
    graph = files.comfy_graph(positive=["20", 0], negative=["24", 0])
    graph["20"] = {
        "class_type": "ConditioningCombine",
        "inputs": {"conditioning_1": ["6", 0], "conditioning_2": ["7", 0]},
    }
    graph["24"] = {"class_type": "ConditioningZeroOut", "inputs": {"conditioning": ["6", 0]}}
    found = read_recipe(files.png({"prompt": files.dumps(graph)}))
    assert (found.prompt, found.negative_prompt) == ("a glass bottle\nwatermark", None)


def test_the_first_comfy_sampler_is_read_instead_of_the_refiner() -> None:
    graph = files.comfy_graph()
    refiner = files.comfy_graph(latent_image=["30", 0], seed=5, steps=9)["3"]
    graph["30"] = {"class_type": "LatentUpscale", "inputs": {"samples": ["3", 0], "width": 9, "height": 9}}
    found = read_recipe(files.png({"prompt": files.dumps({"1": refiner, **graph})}))
    assert found == FROM_COMFY


def test_reading_a_comfy_graph_with_cyclic_links_terminates() -> None:
    graph = files.comfy_graph(positive=["40", 0], latent_image=["40", 0], seed=["40", 0])
    graph["40"] = {"class_type": "Reroute", "inputs": {"a": ["41", 0], "samples": ["41", 0]}}
    graph["41"] = {"class_type": "Reroute", "inputs": {"a": ["40", 0], "b": ["41", 0], "c": ["3", 0]}}
    found = read_recipe(files.png({"prompt": files.dumps(graph)}))
    assert (found.prompt, found.steps, found.width) == (None, 20, None)


def test_reading_a_graph_of_thousands_of_samplers_and_a_long_chain_terminates() -> None:
    graph: dict[str, object] = {
        f"s{n}": {"class_type": "K", "inputs": {"latent_image": ["0", 0], "positive": 1, "steps": n}}
        for n in range(1, 4500)
    }
    graph |= {str(n): {"class_type": "R", "inputs": {"x": [str(n + 1), 0]}} for n in range(9000)}
    text = files.dumps(graph)
    assert len(text) < 1_000_000
    assert read_recipe(files.png({"prompt": text})).steps == 1


@pytest.mark.parametrize(
    ("wrong", "field"),
    [
        ({"seed": "not a number"}, "seed"),
        ({"seed": -1}, "seed"),
        ({"seed": 2**64}, "seed"),
        ({"seed": True}, "seed"),
        ({"seed": {"a": 1}}, "seed"),
        ({"seed": 1.5}, "seed"),
        ({"steps": math.nan}, "steps"),
        ({"steps": 10**400}, "steps"),
        ({"steps": 0}, "steps"),
        ({"cfg": math.inf}, "guidance"),
        ({"cfg": math.nan}, "guidance"),
        ({"cfg": 10**400}, "guidance"),
        ({"cfg": "seven"}, "guidance"),
        ({"cfg": None}, "guidance"),
        ({"sampler_name": 7}, "sampler"),
    ],
)
def test_an_invalid_value_counts_as_missing(wrong: dict[str, object], field: str) -> None:
    text = files.dumps(files.comfy_graph(**wrong))
    # The file contains exactly the invalid value.
    [(name, value)] = wrong.items()
    assert repr(json.loads(text)["3"]["inputs"][name]) == repr(value)
    found = read_recipe(files.png({"prompt": text}))
    assert getattr(found, field) is None
    unchanged = {"prompt", "negative_prompt", "width", "height", "model"}
    assert found.model_dump(include=unchanged) == FROM_COMFY.model_dump(include=unchanged)


def test_characters_not_allowed_in_a_prompt_are_replaced() -> None:
    graph = files.comfy_graph()
    graph["6"] = {"class_type": "CLIPTextEncode", "inputs": {"text": "a\x00b\ud800c\r\nd\te"}}
    text = files.dumps(graph)
    assert "\\ud800" in text and "\\u0000" in text
    assert read_recipe(files.png({"prompt": text})).prompt == "a\ufffdb\ufffdc\nd\te"


@pytest.mark.parametrize(
    "file",
    [
        files.png(),
        files.with_exif("JPEG", files.tiff(place=True)),
        files.png({"parameters": "just words"}),
        files.png({"parameters": "Steps: many, Sampler: ,"}),
        files.png(
            {"parameters": "{}", "prompt": "a cat", "invokeai_metadata": "[]", "sd-metadata": '{"image":1}'}
        ),
        files.png({"prompt": '{"1": {"class_type": 5, "inputs": []}, "2": null}', "Dream": '"'}),
        files.png({"parameters": files.deep_json(90_000), "invokeai_metadata": "{" + "[" * 5000}),
    ],
)
def test_a_file_without_a_recipe_is_refused(file: bytes) -> None:
    assert refusal(file) == NOTHING_SAID


def test_the_deep_json_exceeds_the_parsers_recursion_limit() -> None:
    with pytest.raises(RecursionError):
        json.loads(files.deep_json(90_000))


SAID = {
    "empty": "empty",
    "svg_named_png": "no PNG, JPEG or WebP",
    "html_named_png": "no PNG, JPEG or WebP",
    "truncated_png": "cannot be read",
    "truncated_jpeg": "cut off",
    "truncated_webp": "ends at byte",
    "polyglot": "follow its end",
    "parameters_of_5_mb": "bytes of text",
    "ztxt_bomb": "unpacks to more than",
    "itxt_bomb": "unpacks to more than",
    "too_long_prompt": "20001 characters",
    "of_100_mb": "at most 32",
}


@pytest.mark.parametrize("name", files.refused())
def test_a_hostile_file_is_refused_in_one_line_and_bounded_memory(name: str) -> None:
    file = files.refused()[name]()
    tracemalloc.start()
    message = refusal(file)
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert SAID[name] in message
    assert message.endswith(".") and message.count("\n") == 0 and len(message) < 200
    # A few copies of the file's parts and of the allowed decompressed text, but never the full decompressed size.
    assert peak < 4 * min(len(file), MAX_FILE_BYTES) + 8_000_000


def test_the_hostile_files_have_their_claimed_properties() -> None:
    made = files.refused()
    with zipfile.ZipFile(io.BytesIO(made["polyglot"]())) as archive:
        assert "script" in archive.read("index.html").decode()
    assert len(made["of_100_mb"]()) > 100_000_000
    assert len(made["parameters_of_5_mb"]()) > 5_000_000
    assert len(made["ztxt_bomb"]()) < 1_000_000


def test_a_decompression_bomb_is_read_without_decoding_its_pixels() -> None:
    bomb = files.bomb_of_pixels()
    assert len(bomb) < 200_000
    with pytest.raises(Pillow.DecompressionBombError):
        Pillow.open(io.BytesIO(bomb))
    tracemalloc.start()
    assert read_recipe(bomb) == FROM_A1111
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert peak < 20_000_000


def test_an_animated_webp_is_read_like_a_still_one() -> None:
    file = files.with_exif("WEBP", files.tiff(files.comment_of(files.A1111, "bom")), frames=3)
    with Pillow.open(io.BytesIO(file)) as opened:
        assert getattr(opened, "n_frames", 1) == 3
    assert read_recipe(file) == FROM_A1111


def test_a_location_in_the_file_is_ignored() -> None:
    block = files.tiff(files.comment_of(files.A1111, "ascii"), place=True)
    file = files.with_exif("JPEG", block)
    with Pillow.open(io.BytesIO(file)) as opened:
        assert opened.getexif().get_ifd(files.GPS_TABLE)
    assert read_recipe(file) == FROM_A1111


def test_overlapping_exif_texts_do_not_exhaust_memory() -> None:
    block = files.overlapping_exif()
    file = files.webp_with(block)
    tracemalloc.start()
    assert refusal(file) == NOTHING_SAID
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert len(block) * 300 > 250_000_000 > 20_000_000 > peak


@pytest.mark.parametrize("kind", ["png", "jpeg", "jpeg_fill", "webp"])
def test_a_file_with_millions_of_parts_is_refused(kind: str) -> None:
    assert "cannot be read" in refusal(files.many_parts()[kind])


@pytest.mark.parametrize("line", ["a" * 900_000, " " * 900_000, 'a:"' * 300_000, 'a:"\\",' * 150_000])
def test_a_line_meant_to_cause_backtracking_is_read_in_one_pass(line: str) -> None:
    found = read_recipe(files.png({"parameters": f"a cat\nSteps: 1,{line}"}))
    assert (found.prompt, found.steps) == ("a cat", 1)


@given(st.data())
@settings(max_examples=300)
def test_a_randomly_damaged_file_is_read_or_refused(data: st.DataObject) -> None:
    block = files.tiff(files.comment_of(files.A1111, "utf-16-be"), {files.MODEL: b"prompt:{}"}, place=True)
    whole = data.draw(
        st.sampled_from(
            [files.with_exif(kind, block) for kind in ("JPEG", "WEBP", "PNG")] + [files.webp_with(block)]
        )
    )
    file = bytearray(whole[: data.draw(st.integers(0, len(whole)))])
    for _ in range(data.draw(st.integers(0, 6))):
        if file:
            file[data.draw(st.integers(0, len(file) - 1))] = data.draw(st.integers(0, 255))
    try:
        read_recipe(bytes(file))
    except InvalidRequest as refused:
        assert refused.message.endswith(".")
