"""Tests of the comparison of two pictures, in figures and as a difference map."""

from __future__ import annotations

import io

import pytest
from PIL import Image as Pillow

from services.errors import BadOutput
from services.jobs.reproductions import difference


def png(picture: Pillow.Image) -> bytes:
    target = io.BytesIO()
    picture.save(target, "PNG")
    return target.getvalue()


@pytest.fixture
def plain() -> Pillow.Image:
    return Pillow.new("RGB", (20, 10), (100, 100, 100))


def test_the_same_pixels_are_identical_at_any_compression(plain: Pillow.Image) -> None:
    target = io.BytesIO()
    plain.save(target, "PNG", compress_level=0)
    found, drawn = difference(png(plain), target.getvalue())
    assert found.identical and (found.largest, found.differing, found.pixels) == (0, 0, 200)
    assert drawn is None


def test_the_largest_channel_difference_and_the_number_of_differing_pixels_are_found(
    plain: Pillow.Image,
) -> None:
    other = plain.copy()
    other.putpixel((3, 4), (100, 100, 103))
    other.putpixel((5, 6), (90, 101, 100))
    found, drawn = difference(png(plain), png(other))
    assert (found.largest, found.differing, found.pixels, found.amplified) == (10, 2, 200, 25)
    assert drawn is not None
    with Pillow.open(io.BytesIO(drawn)) as shown:
        assert shown.getpixel((3, 4)) == (0, 0, 75)
        assert shown.getpixel((5, 6)) == (250, 25, 0)
        assert shown.getpixel((0, 0)) == (0, 0, 0)


def test_a_difference_of_one_level_in_one_pixel_is_found(plain: Pillow.Image) -> None:
    other = plain.copy()
    other.putpixel((0, 0), (101, 100, 100))
    found, drawn = difference(png(plain), png(other))
    assert (found.largest, found.differing) == (1, 1)
    assert drawn is not None
    with Pillow.open(io.BytesIO(drawn)) as shown:
        assert shown.getpixel((0, 0)) == (64, 0, 0)


def test_pictures_of_different_sizes_and_broken_files_are_refused(plain: Pillow.Image) -> None:
    for other in (png(plain.resize((10, 20))), png(plain)[:45], b"", b"GIF89a"):
        with pytest.raises(BadOutput):
            difference(png(plain), other)
