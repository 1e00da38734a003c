"""Tests of encoding: lossless, without metadata, and no file for a withheld picture."""

from __future__ import annotations

import base64
import hashlib
import io

import numpy as np
import pytest
from PIL import Image as PillowImage

from inference.check import Verdict
from inference.contract import ImageFormat
from inference.encoding import encode_exactly, encode_picture
from inference.pipelines.family import Pixels

FORMATS: list[ImageFormat] = ["png", "webp"]


def pictures() -> dict[str, Pixels]:
    """Return pictures that lossy compression, a palette, or a color conversion would change."""
    rng = np.random.default_rng(0)
    rows, columns = np.mgrid[0:96, 0:160]
    return {
        "noise": rng.integers(0, 256, (64, 64, 3), dtype=np.uint8),
        "gradient": np.stack([rows, columns, 255 - rows], axis=-1).astype(np.uint8),
        "black": np.zeros((64, 64, 3), np.uint8),
        "one pixel": np.full((1, 1, 3), (1, 2, 3), np.uint8),
        "few colors": (rng.integers(0, 2, (40, 24, 1), dtype=np.uint8) * np.array([255, 7, 0], np.uint8)),
        # Not contiguous, like a slice of a batch or a rotated picture.
        "a view": rng.integers(0, 256, (80, 64, 3), dtype=np.uint8)[::2, ::-1],
    }


@pytest.mark.parametrize("name", list(pictures()))
@pytest.mark.parametrize("image_format", FORMATS)
def test_a_file_decodes_to_the_same_pixels(image_format: ImageFormat, name: str) -> None:
    pixels = pictures()[name]
    opened = PillowImage.open(
        io.BytesIO(encode_exactly(pixels, image_format)), formats=[image_format.upper()]
    )
    assert opened.mode == "RGB"
    assert np.array_equal(np.asarray(opened), pixels)


@pytest.mark.parametrize("image_format", FORMATS)
def test_a_file_holds_nothing_but_the_picture(image_format: ImageFormat) -> None:
    file = encode_exactly(pictures()["gradient"], image_format)
    opened = PillowImage.open(io.BytesIO(file))
    opened.load()
    assert not opened.getexif()
    if image_format == "webp":
        # A simple file: the extended format (VP8X), which can hold metadata, is not used.
        assert file[8:16] == b"WEBPVP8L"
    else:
        assert {
            kind for kind in (b"tEXt", b"iTXt", b"zTXt", b"eXIf", b"tIME", b"iCCP") if kind in file
        } == set()


@pytest.mark.parametrize("image_format", FORMATS)
def test_the_answer_names_the_format_and_the_hash_of_the_file(image_format: ImageFormat) -> None:
    pixels = pictures()["gradient"]
    image = encode_picture(pixels, 7, image_format, Verdict(0.25, None))
    assert image.data is not None
    file = base64.b64decode(image.data, validate=True)
    assert file == encode_exactly(pixels, image_format)
    assert image.sha256 == hashlib.sha256(file).hexdigest()
    assert (image.format, image.seed, image.width, image.height) == (image_format, 7, 160, 96)
    assert (image.nsfw, image.withheld) == (0.25, None)


def test_a_withheld_picture_keeps_seed_size_and_score_and_has_no_bytes() -> None:
    image = encode_picture(pictures()["gradient"], 7, "png", Verdict(0.95, "nsfw"))
    assert image.model_dump() == {
        "data": None,
        "format": "png",
        "seed": 7,
        "width": 160,
        "height": 96,
        "sha256": None,
        "nsfw": 0.95,
        "withheld": "nsfw",
    }


def test_an_unchecked_picture_has_no_score() -> None:
    image = encode_picture(pictures()["black"], 7)
    assert (image.nsfw, image.withheld) == (None, None)
    assert image.data is not None
