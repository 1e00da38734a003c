"""Tests of the recipes that other programs write in their own ways: encodings, EXIF types, separators, and padding."""

from __future__ import annotations

import io
import json
import re
import struct
import zlib

import pytest
from PIL import Image as Pillow

from services.catalogue.cards import Catalogue
from services.errors import InvalidRequest
from services.formats.png_metadata import PictureParameters, embed
from services.recipes.fit_to_model import fit
from services.recipes.read_recipe import read_recipe
from services.recipes.recipe import Recipe
from tests import hostile_files as files
from tests.unit.test_recall import FROM_A1111, FROM_COMFY, OURS

CATALOGUE = Catalogue.load(frozenset({"pocket", "sd-turbo", "sdxl"}))
BYTE, ASCII, UNDEFINED, UTF_8 = 1, 2, 7, 129


def of_text(text: str) -> Recipe:
    return read_recipe(files.png({"parameters": text}))


def raw(keyword: bytes, data: bytes, kind: bytes = b"tEXt") -> bytes:
    return files.png({}, files.chunk(kind, keyword + b"\0" + data))


# EXIF


@pytest.mark.parametrize("file_kind", ["JPEG", "WEBP", "PNG"])
@pytest.mark.parametrize("entry_kind", [BYTE, ASCII, UNDEFINED, UTF_8])
@pytest.mark.parametrize("in_first", [True, False])
def test_a_comment_of_any_text_type_in_either_table_is_read(
    file_kind: str, entry_kind: int, in_first: bool
) -> None:
    comment = files.comment_of(files.A1111, "utf-16-be")
    block = files.tiff(comment, kind=entry_kind, in_first=in_first)
    assert read_recipe(files.with_exif(file_kind, block)) == FROM_A1111


@pytest.mark.parametrize("file_kind", ["JPEG", "WEBP", "PNG"])
def test_a_comment_that_pillow_wrote_as_bytes_is_read(file_kind: str) -> None:
    exif = Pillow.Exif()
    exif[files.USER_COMMENT] = b"UNICODE\0" + files.A1111.encode("utf-16-le")
    target = io.BytesIO()
    Pillow.new("RGB", (8, 8)).save(target, file_kind, exif=exif)
    # Pillow chooses BYTE, which the standard does not allow here.
    assert re.search(rb"\x86\x92\x01\x00|\x92\x86\x00\x01", target.getvalue())
    assert read_recipe(target.getvalue()) == FROM_A1111


def test_an_empty_comment_does_not_hide_another_one() -> None:
    block = files.tiff(files.comment_of(files.A1111, "ascii"), {files.USER_COMMENT: b"ASCII\0\0\0"})
    assert read_recipe(files.with_exif("JPEG", block)) == FROM_A1111


def test_a_comment_that_says_unicode_and_is_utf_8_is_read() -> None:
    block = files.tiff(b"UNICODE\0" + files.A1111.replace("apple", "りんご").encode())
    assert read_recipe(files.with_exif("JPEG", block)).prompt == "a red りんご"


def test_a_comment_in_jis_and_one_in_latin_1_are_read() -> None:
    japanese = files.A1111.replace("apple", "りんご")
    block = files.tiff(b"JIS\0\0\0\0\0" + japanese.encode("iso2022_jp"))
    assert read_recipe(files.with_exif("JPEG", block)).prompt == "a red りんご"
    french = files.A1111.replace("apple", "forêt")
    block = files.tiff(b"ASCII\0\0\0" + french.encode("latin-1"))
    assert read_recipe(files.with_exif("JPEG", block)).prompt == "a red forêt"


@pytest.mark.parametrize("tag", [0x010E, 0x9C9C])
def test_a_recipe_in_the_description_or_in_windows_comment_is_read(tag: int) -> None:
    data = files.A1111.encode("utf-16-le") if tag == 0x9C9C else files.A1111.encode()
    assert read_recipe(files.with_exif("JPEG", files.tiff(None, {tag: data}))) == FROM_A1111


@pytest.mark.parametrize("keyword", ["date:create", "Software", "Title", "workflow"])
def test_exif_in_a_png_is_read_beside_any_other_text(keyword: str) -> None:
    block = files.tiff(files.comment_of(files.A1111, "utf-16-be"))
    file = files.png({keyword: "2025-01-05T10:11:12+00:00"}, files.chunk(b"eXIf", block))
    assert read_recipe(file) == FROM_A1111


def test_exif_that_imagemagick_keeps_as_text_is_read() -> None:
    block = b"Exif\0\0" + files.tiff(files.comment_of(files.A1111, "utf-16-be"))
    lines = re.sub("(.{72})", r"\1\n", block.hex())
    text = f"\nexif\n{len(block):8}\n{lines}\n".encode()
    file = raw(b"Raw profile type exif", b"\0" + zlib.compress(text), b"zTXt")
    assert read_recipe(file) == FROM_A1111
    with pytest.raises(InvalidRequest):
        read_recipe(raw(b"Raw profile type exif", b"\nexif\n 4\nno hex"))


# PNG


@pytest.mark.parametrize("kind", [b"tEXt", b"zTXt"])
def test_raw_utf_8_and_latin_1_text_chunks_are_told_apart(kind: bytes) -> None:
    for text, encoding in (
        ("テスト、赤いりんご", "utf-8"),
        ("une forêt d'été", "utf-8"),
        ("une forêt", "latin-1"),
    ):
        data = files.A1111.replace("a red apple", text).encode(encoding)
        body = b"\0" + zlib.compress(data) if kind == b"zTXt" else data
        assert read_recipe(raw(b"parameters", body, kind)).prompt == text


@pytest.mark.parametrize("padding", [b"\0", b"\0" * 700, b"\n", b"\r\n", b" \t\n", b"\0\n\0"])
def test_zeros_and_white_space_may_follow_a_png(padding: bytes) -> None:
    assert read_recipe(files.png({"parameters": files.A1111}) + padding) == FROM_A1111


@pytest.mark.parametrize("tail", [b"\0\0\0x", b"\n<script>", b"PK\5\6" + b"\0" * 18, b"\0" * 99 + b"%PDF"])
def test_anything_else_that_follows_a_png_is_refused(tail: bytes) -> None:
    with pytest.raises(InvalidRequest, match="follow its end"):
        read_recipe(files.png({"parameters": files.A1111}) + tail)


WORKFLOW = "x" * 5_000_000


def packed(keyword: bytes, size: int) -> bytes:
    return files.chunk(b"zTXt", keyword + b"\0\0" + zlib.compress(b" " * size))


@pytest.mark.parametrize(
    "other",
    [
        files.chunk(b"tEXt", b"workflow\0" + WORKFLOW.encode()),
        files.chunk(b"iTXt", b"workflow\0\0\0\0\0" + WORKFLOW.encode()),
        packed(b"workflow", 100_000_000),
        packed(b"prompt", 2_000_000),
        files.chunk(b"iTXt", b"workflow\0\0\0\0\0\xff\xfe"),
        files.chunk(b"iTXt", b"prompt\0\0\0"),
        files.chunk(b"zTXt", b"workflow\0\0nonsense"),
        files.chunk(b"tEXt", b"no keyword"),
        b"".join(files.chunk(b"tEXt", b"k%d\0" % number + b"x" * 100_000) for number in range(30)),
    ],
    ids=["text", "utf8", "bomb", "long graph", "not utf8", "cut", "damaged", "no keyword", "many"],
)
def test_a_text_that_is_not_needed_never_hides_the_recipe(other: bytes) -> None:
    assert read_recipe(files.png({"parameters": files.A1111}, other)) == FROM_A1111
    graph = files.dumps(files.comfy_graph())
    if b"prompt" not in other[:20]:
        assert read_recipe(files.png({"prompt": graph}, other)) == FROM_COMFY


def test_a_workflow_of_megabytes_in_exif_never_hides_the_recipe() -> None:
    graph = files.dumps(files.comfy_graph())
    block = files.tiff(
        None, {0x010F: f"workflow:{WORKFLOW}".encode(), files.MODEL: f"prompt:{graph}".encode()}
    )
    assert read_recipe(files.webp_with(block)) == FROM_COMFY
    both = f'{{"prompt": {graph}, "workflow": "{WORKFLOW}"}}'
    assert read_recipe(files.webp_with(files.tiff(b"ASCII\0\0\0" + both.encode()))) == FROM_COMFY


def test_a_recipe_that_is_too_long_is_told() -> None:
    with pytest.raises(InvalidRequest, match="bytes of text"):
        read_recipe(files.png({"parameters": "x" * 1_000_001}))
    with pytest.raises(InvalidRequest, match="bytes of text"):
        read_recipe(files.webp_with(files.tiff(b"ASCII\0\0\0" + b"x" * 1_000_001)))


# A1111's text in other programs' words


VALUES = "Steps: 25, Sampler: Euler, CFG scale: 6.5, Seed: 4242, Size: 512x768, Model: dreamshaper_8"
BY_PIPES = VALUES.replace(", ", " | ")


@pytest.mark.parametrize(
    "text",
    [
        f"a red apple.Negative prompt: blurry.{VALUES}",
        f"a red apple Negative prompt: blurry {VALUES}",
        f"a red apple\nNegative prompt: blurry {VALUES}",
        f"a red apple Negative prompt: blurry\n{VALUES}",
        f"a red apple\r\nNegative prompt: blurry\r\n{VALUES}\r\n",
        f"a red apple\rNegative prompt: blurry\r{VALUES}",
        f"prompt: a red apple\nNegative prompt: blurry\nVersion: 1a, Pipeline: Original,\n{BY_PIPES}",
        f"a red apple\nNegative prompt: blurry\nApp: SD.Next, Backend: Diffusers\nParser: Full parser\n{VALUES}",
        "a red apple\nNegative prompt: blurry\n"
        "Seed: 4242, Model: dreamshaper_8, Steps: 25, Sampler: Euler, CFG scale: 6.5, Size: 512x768",
        f"a red apple\nNegative prompt: blurry\n{VALUES.replace('CFG scale', 'CFG Scale').replace('x768', ' x 768')}",
        f"a red apple\nNegative prompt: blurry\n{VALUES.replace('Size: 512x768', 'Width: 512, Height: 768')}",
    ],
)
def test_the_values_are_found_wherever_a_program_writes_them(text: str) -> None:
    assert of_text(text) == FROM_A1111


@pytest.mark.parametrize(
    "text",
    [
        "climbing. Steps: 3, then a door",
        "a poster that says Steps: 3, Style: bold",
        "just words. Negative prompt: blurry",
    ],
)
def test_words_about_steps_are_no_recipe(text: str) -> None:
    with pytest.raises(InvalidRequest) as refused:
        of_text(text)
    assert refused.value.code == "no_recipe"


def test_a_line_of_a_prompt_that_looks_like_values_stays_in_the_prompt() -> None:
    found = of_text(f"a poster\nModel: a woman in red\n{VALUES}")
    assert (found.prompt, found.model) == ("a poster\nModel: a woman in red", "dreamshaper_8")


@pytest.mark.parametrize(
    ("values", "guidance"),
    [
        ("CFG scale: 1, Distilled CFG Scale: 3.5", 3.5),
        ("Distilled CFG Scale: 3.5, CFG scale: 1", 3.5),
        ("CFG scale: 6", 6.0),
        ("Guidance scale: 4", 4.0),
    ],
)
def test_the_guidance_of_flux_is_the_distilled_one(values: str, guidance: float) -> None:
    assert of_text(f"a cat\nSteps: 20, Sampler: Euler, {values}, Seed: 1").guidance == guidance


def test_swarm_and_invoke_have_flux_guidance_beside_a_cfg_of_one() -> None:
    swarm = {"sui_image_params": {"prompt": "a fox", "cfgscale": 1, "fluxguidancescale": 3.5}}
    assert of_text(json.dumps(swarm)).guidance == 3.5
    invoke = json.dumps({"positive_prompt": "a fox", "guidance": 3.5, "cfg_scale": 1})
    assert read_recipe(files.png({"invokeai_metadata": invoke})).guidance == 3.5


@pytest.mark.parametrize("name", ["Scheduler", "Schedule type", "Sampler sigma"])
@pytest.mark.parametrize("schedule", ["exponential", "karras", "Simple", "sgm_uniform"])
def test_another_noise_schedule_is_another_scheduler_and_is_told(name: str, schedule: str) -> None:
    found = of_text(f"a cat\nSteps: 30, Sampler: DPM++ 2M, Seed: 1, {name}: {schedule}")
    assert (found.scheduler, found.sampler) == (None, f"DPM++ 2M {schedule}")
    fitted = fit(found, CATALOGUE.card("pocket"), CATALOGUE.models())
    assert fitted.scheduler is None
    assert f"DPM++ 2M {schedule}" in " ".join(fitted.remarks)


def test_fooocus_and_novelai_are_read_in_their_own_forms() -> None:
    fooocus = {
        "prompt": "a red apple", "negative_prompt": "blurry", "steps": 30, "guidance_scale": 4.0, "seed": "77",
        "resolution": "(1152, 896)", "sampler": "dpmpp_2m_sde_gpu", "scheduler": "karras", "base_model": "juggernaut",
    }  # fmt: skip
    wanted = Recipe(
        source="Fooocus", prompt="a red apple", negative_prompt="blurry", seed=77, steps=30, guidance=4.0,
        sampler="dpmpp_2m_sde_gpu karras", width=1152, height=896, model="juggernaut",
    )  # fmt: skip
    assert of_text(json.dumps(fooocus)) == wanted
    block = files.tiff(files.comment_of(json.dumps(fooocus), "ascii"))
    assert read_recipe(files.with_exif("JPEG", block)) == wanted
    novelai = {
        "prompt": "a red apple", "uc": "blurry", "steps": 28, "scale": 5.0, "seed": 77, "width": 832, "height": 1216,
        "sampler": "k_euler", "noise_schedule": "native",
    }  # fmt: skip
    assert read_recipe(files.png({"Comment": json.dumps(novelai)})) == Recipe(
        source="NovelAI", prompt="a red apple", negative_prompt="blurry", seed=77, steps=28, guidance=5.0,
        sampler="k_euler", scheduler="euler", width=832, height=1216,
    )  # fmt: skip


SPACED, NEGATIVE = "  1 girl, \nmedieval, castle, \n ", "blurry,  "


def test_spaces_at_the_ends_of_prompts_are_kept() -> None:
    found = of_text(f"{SPACED}\nNegative prompt: {NEGATIVE}\n{VALUES}")
    assert (found.prompt, found.negative_prompt) == (SPACED, NEGATIVE)
    ours: PictureParameters = OURS.model_copy(update={"prompt": SPACED, "negative_prompt": NEGATIVE})
    found = read_recipe(embed(files.png(), ours))
    assert (found.prompt, found.negative_prompt) == (SPACED, NEGATIVE)
    graph = files.comfy_graph()
    graph["6"] = {"class_type": "CLIPTextEncode", "inputs": {"text": SPACED}}
    assert read_recipe(files.png({"prompt": files.dumps(graph)})).prompt == SPACED
    swarm = {"sui_image_params": {"prompt": SPACED, "negativeprompt": NEGATIVE}}
    assert of_text(json.dumps(swarm)).prompt == SPACED
    dream = '" a cat, [blurry]" -s 50'
    assert read_recipe(files.png({"Dream": dream})).prompt == " a cat,"


def test_a_prompt_of_white_space_is_empty() -> None:
    found = of_text(f"a cat\nNegative prompt:  \n{VALUES}")
    assert (found.prompt, found.negative_prompt) == ("a cat", "")


@pytest.mark.parametrize(
    "text",
    [
        "Steps: 1, " * 90_000,
        ".Steps: 1|" * 90_000,
        "\n" + "Seed: 1, " * 100_000,
        "Version: 1,\n" * 80_000 + "Steps: 1, Seed: 1",
        "a: " * 300_000,
    ],
)
def test_a_text_meant_to_be_parsed_forever_is_read_in_one_pass(text: str) -> None:
    assert len(text) < 1_000_000
    try:
        of_text(text)
    except InvalidRequest as refused:
        assert refused.message.endswith(".")


def test_exif_entries_that_claim_too_much_are_left_out() -> None:
    block = files.tiff(files.comment_of(files.A1111, "ascii"), kind=BYTE, in_first=True)
    broken = bytearray(block)
    struct.pack_into(">I", broken, 8 + 2 + 4, 2**31)
    with pytest.raises(InvalidRequest):
        read_recipe(files.with_exif("JPEG", bytes(broken)))
