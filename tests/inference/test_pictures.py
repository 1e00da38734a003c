"""Tests of pictures in requests: what is accepted, how it becomes pixels, and the errors."""

from __future__ import annotations

import base64
import io
import json
import struct
import zlib
from typing import Any

import numpy as np
import pytest
from PIL import Image

from inference.contract import parse_payload
from inference.errors import InvalidRequest
from inference.pictures import MAX_FILE_BYTES, keep_masked, read_mask, read_picture
from tests.inference.client import PAYLOAD
from tests.inference.drawings import as_base64, encode, mask_base64, noise_picture


def refuse(file: bytes) -> InvalidRequest:
    with pytest.raises(InvalidRequest) as refused:
        read_picture(base64.b64encode(file).decode(), "image", 64, 64)
    assert refused.value.param == "image"
    assert refused.value.status == 400
    return refused.value


def png_chunk(kind: bytes, data: bytes) -> bytes:
    return struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data))


def png_that_says(width: int, height: int) -> bytes:
    """Return a short PNG whose header claims any size."""
    header = struct.pack(">IIBBBBB", width, height, 8, 2, 0, 0, 0)
    return (
        b"\x89PNG\r\n\x1a\n"
        + png_chunk(b"IHDR", header)
        + png_chunk(b"IDAT", zlib.compress(b"\0" * 1000))
        + png_chunk(b"IEND", b"")
    )


@pytest.mark.parametrize("form", ["PNG", "WEBP"])
def test_a_lossless_file_of_the_right_size_is_used_unchanged(form: str) -> None:
    picture = noise_picture(3)

    assert np.array_equal(read_picture(as_base64(picture, form, lossless=True), "image", 64, 64), picture)


def test_a_jpeg_is_accepted() -> None:
    picture = noise_picture(3)

    read = read_picture(as_base64(picture, "JPEG", quality=100, subsampling=0), "image", 64, 64)

    assert np.abs(read.astype(int) - picture.astype(int)).mean() < 3


def test_a_picture_is_resized_to_the_requested_size() -> None:
    assert read_picture(as_base64(noise_picture(3, 200, 90)), "image", 128, 64).shape == (64, 128, 3)


def test_a_picture_is_turned_upright_by_its_exif_entry() -> None:
    exif = Image.Exif()
    exif[0x0112] = 6  # rotated by 90 degrees
    picture = noise_picture(3)

    read = read_picture(as_base64(picture, "PNG", exif=exif), "image", 64, 64)

    assert np.array_equal(read, np.rot90(picture, -1))


def test_transparent_areas_become_white() -> None:
    picture = np.zeros((64, 64, 4), dtype=np.uint8)
    picture[:, :32] = (200, 10, 10, 255)

    read = read_picture(as_base64(picture), "image", 64, 64)

    assert read[0, 0].tolist() == [200, 10, 10]
    assert read[0, 63].tolist() == [255, 255, 255]


def test_a_16_bit_picture_keeps_its_brightness() -> None:
    gray = np.full((64, 64), 0x8000, dtype=np.uint16)

    read = read_picture(as_base64(Image.fromarray(gray)), "image", 64, 64)

    assert read[0, 0].tolist() == [128, 128, 128]


@pytest.mark.parametrize("mode", ["CMYK", "L"])
def test_other_color_models_become_rgb(mode: str) -> None:
    file = as_base64(Image.new("RGB", (64, 64), (128, 128, 128)).convert(mode), "JPEG", quality=100)

    read = read_picture(file, "image", 64, 64)

    assert read.shape == (64, 64, 3)
    assert np.abs(read.astype(int) - 128).max() <= 3


def test_a_palette_becomes_rgb() -> None:
    picture = Image.fromarray(noise_picture(3)).quantize(16)

    assert np.array_equal(
        read_picture(as_base64(picture), "image", 64, 64), np.asarray(picture.convert("RGB"))
    )


@pytest.mark.parametrize(
    ("file", "words"),
    [
        (b"hello", "PNG, JPEG or WebP"),
        (b'<svg xmlns="http://www.w3.org/2000/svg"/>', "PNG, JPEG or WebP"),
        (encode(noise_picture(1), "GIF"), "PNG, JPEG or WebP"),
        (encode(noise_picture(1), "BMP"), "PNG, JPEG or WebP"),
        (encode(noise_picture(1), "TIFF"), "PNG, JPEG or WebP"),
        (b"\x89PNG\r\n\x1a\n", "broken at its start"),
        (encode(noise_picture(1))[:200], "cut off or broken"),
        (encode(noise_picture(1), "JPEG")[:900], "cut off or broken"),
        (encode(noise_picture(1), "WEBP")[:-50], "PNG, JPEG or WebP|cut off or broken"),
        (png_that_says(64, 64), "cut off or broken"),
        (png_that_says(4097, 8), "at most 4096 pixels"),
        (png_that_says(60_000, 60_000), "at most 4096 pixels"),
        (b"\0" * (MAX_FILE_BYTES + 1), "at most 8 MiB"),
    ],
    ids=lambda value: value if isinstance(value, str) else f"{len(value)}b",
)
def test_an_invalid_picture_is_refused_with_the_reason(file: bytes, words: str) -> None:
    assert any(part in refuse(file).message for part in words.split("|"))


@pytest.mark.parametrize("form", ["PNG", "WEBP"])
def test_an_animation_is_refused(form: str) -> None:
    frames = [Image.fromarray(noise_picture(i)) for i in range(3)]
    stream = io.BytesIO()
    frames[0].save(stream, form, save_all=True, append_images=frames[1:], duration=100)

    assert "animated" in refuse(stream.getvalue()).message


def test_a_decompression_bomb_is_refused_without_decoding(monkeypatch: pytest.MonkeyPatch) -> None:
    def load(_self: Any) -> None:
        raise AssertionError("decoded")

    monkeypatch.setattr("PIL.ImageFile.ImageFile.load", load)

    assert "at most 4096" in refuse(png_that_says(10_000, 10_000)).message


@pytest.mark.parametrize("text", ["not base64!", "data:image/png;base64,AAAA", "AAAA\nAAAA", "AAA", "é"])
def test_invalid_base64_is_refused(text: str) -> None:
    with pytest.raises(InvalidRequest, match="must be base64") as refused:
        read_picture(text, "mask", 64, 64)

    assert refused.value.param == "mask"


def test_a_mask_that_leaves_nothing_to_draw_is_refused() -> None:
    with pytest.raises(InvalidRequest, match="no white area") as refused:
        read_mask(mask_base64(white_from=64), "mask", 64, 64)

    assert refused.value.param == "mask"


def test_a_mask_is_read_in_grayscale_at_the_requested_size() -> None:
    mask = read_mask(mask_base64(white_from=32), "mask", 32, 32)

    assert mask.shape == (32, 32)
    assert (mask[0, 0], mask[0, 31]) == (0, 255)


def test_kept_pixels_come_from_the_requests_picture() -> None:
    image, drawn = noise_picture(1), noise_picture(2)
    mask = read_mask(mask_base64(white_from=32), "mask", 64, 64)

    whole = keep_masked(drawn, image, mask)
    small = keep_masked(drawn[:32, :32], image, mask)

    assert np.array_equal(whole[:, :32], image[:, :32])
    assert np.array_equal(whole[:, 32:], drawn[:, 32:])
    assert small.shape == (32, 32, 3)


def parse(**changes: Any) -> Any:
    return parse_payload(json.dumps({**PAYLOAD, **changes}).encode())


@pytest.mark.parametrize(
    ("changes", "param", "words"),
    [
        ({"strength": 0.5}, "strength", "goes with `image`"),
        ({"image": "AAAA"}, "strength", "is missing"),
        ({"image": "AAAA", "strength": 0}, "strength", "from 0.01 to 1"),
        ({"image": "AAAA", "strength": 1.5}, "strength", "from 0.01 to 1"),
        ({"image": "", "strength": 0.5}, "image", "base64"),
        ({"image": 5, "strength": 0.5}, "image", "base64"),
        ({"image": "AAAA", "strength": 0.5}, "image", "PNG, JPEG or WebP"),
        ({"mask": "AAAA"}, "mask", "goes with `image`"),
        ({"loras": "ink"}, "loras", "a list of at most 4"),
        ({"loras": [{"name": "ink"}]}, "loras.scale", "is missing"),
        ({"loras": [{"name": "../ink", "scale": 1.0}]}, "loras.name", "a LoRA that this server found"),
        ({"loras": [{"name": "ink", "scale": 2.5}]}, "loras.scale", "from -2 to 2"),
        ({"loras": [{"name": "ink", "scale": 1.0, "rank": 4}]}, "loras.rank", "not a field"),
        ({"loras": [{"name": "ink", "scale": 1.0}] * 2}, "loras", "twice"),
        ({"loras": [{"name": f"l{i}", "scale": 1.0} for i in range(5)]}, "loras", "at most 4"),
    ],
)
def test_inconsistent_fields_are_refused_by_name(changes: dict[str, Any], param: str, words: str) -> None:
    with pytest.raises(InvalidRequest) as refused:
        parse(**changes)

    assert refused.value.param == param
    assert words in refused.value.message


def test_pictures_are_decoded_when_the_request_is_read() -> None:
    request = parse(image=as_base64(noise_picture(1)), strength=0.5, mask=mask_base64(white_from=32))

    assert request.task == "inpainting"
    assert {"image_pixels", "mask_pixels"} <= request.__dict__.keys()
    with pytest.raises(InvalidRequest, match="no white area"):
        parse(image=as_base64(noise_picture(1)), strength=0.5, mask=mask_base64(white_from=64))


@pytest.mark.parametrize(
    ("steps", "strength", "drawn"), [(20, 0.5, 10), (20, 1.0, 20), (10, 0.7, 7), (20, 0.01, 1), (10, 0.99, 9)]
)
def test_the_number_of_steps_to_draw_follows_strength(steps: int, strength: float, drawn: int) -> None:
    request = parse(image=as_base64(noise_picture(1)), strength=strength, num_inference_steps=steps)

    assert request.steps_to_draw == drawn
