"""Tests of thumbnails and of the placeholder color shown until they load."""

from __future__ import annotations

import io

import pytest
from PIL import Image as Pillow

from services.formats.thumbnail import color_of, thumbnail


def png(picture: Pillow.Image) -> bytes:
    target = io.BytesIO()
    picture.save(target, "PNG")
    return target.getvalue()


def test_the_color_is_the_most_frequent_one_in_the_picture() -> None:
    picture = Pillow.new("RGB", (640, 480), "#204060")
    picture.paste("#f0e0d0", (0, 0, 200, 480))
    _, color = thumbnail(png(picture))
    assert color == "#204060" == color_of(png(picture))


@pytest.mark.parametrize("mode", ["L", "1", "P", "RGBA", "LA", "I;16"])
def test_every_png_mode_has_a_color(mode: str) -> None:
    data, color = thumbnail(png(Pillow.new(mode, (700, 1))))
    assert len(color) == 7 and data[:4] == b"RIFF"


def test_a_broken_picture_has_no_color() -> None:
    assert color_of(png(Pillow.new("RGB", (64, 64)))[:60]) is None
    assert color_of(b"") is None
