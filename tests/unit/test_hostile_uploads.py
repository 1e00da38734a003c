"""Tests of hostile uploads as source pictures: refused in bounded memory, or reduced to their pixels."""

from __future__ import annotations

import io
import subprocess
import sys
import time
import tracemalloc
from collections.abc import Callable

import pytest
from PIL import Image as Pillow
from PIL import ImageCms

from services.errors import InvalidRequest
from services.formats.image_header import MAX_FILE_BYTES, read_header
from services.formats.png_metadata import chunks
from services.formats.sanitize import KEPT_SIDE_PX, as_png, fit, read_mask, read_picture
from services.records import Fit
from tests import hostile_files as files

TAKEN = files.beside_pixels()
REFUSED = files.refused_as_pictures()
PARTS = ("png", "jpeg", "jpeg_fill", "webp")
# Memory that Pillow's modules take on first use, independent of the file.
OVERHEAD_BYTES = 8_000_000
MOST_S = 2.0


def peak_of(file: bytes, read: Callable[..., Pillow.Image] = read_picture) -> tuple[str | None, int]:
    """Return why the file was refused (None if accepted) and the peak memory in bytes."""
    tracemalloc.start()
    try:
        as_png(read(file, param="image"))
        said = None
    except InvalidRequest as refused:
        assert refused.param == "image"
        said = refused.message
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    return said, peak


@pytest.mark.parametrize("read", [read_picture, read_mask])
@pytest.mark.parametrize("name", REFUSED)
def test_a_hostile_picture_or_mask_is_refused_with_a_message_in_bounded_memory(
    name: str, read: Callable[..., Pillow.Image]
) -> None:
    file = REFUSED[name]()
    said, peak = peak_of(file, read)
    assert said is not None and said.startswith("The image ") and said.endswith(".")
    assert peak < OVERHEAD_BYTES + 4 * min(len(file), MAX_FILE_BYTES)


@pytest.mark.parametrize("name", PARTS)
def test_eight_megabytes_of_tiny_parts_are_refused_quickly(name: str) -> None:
    file = files.many_parts(8_000_000)[name]
    began = time.process_time()
    said, peak = peak_of(file)
    assert said is not None and peak < OVERHEAD_BYTES
    assert time.process_time() - began < MOST_S


@pytest.mark.parametrize("name", TAKEN)
def test_only_the_pixels_of_a_picture_with_metadata_are_kept(name: str) -> None:
    file = TAKEN[name]()
    said, peak = peak_of(file)
    assert said is None
    assert peak < OVERHEAD_BYTES + 4 * len(file)
    kept = as_png(read_picture(file, param="image"))
    assert {chunk.kind for chunk in chunks(kept)} == {b"IHDR", b"IDAT", b"IEND"}
    with Pillow.open(io.BytesIO(kept)) as picture:
        assert picture.mode == "RGB" and not picture.info and not picture.getexif()


def test_the_location_in_a_photograph_is_removed() -> None:
    photograph = files.with_exif("JPEG", files.tiff(place=True))
    with Pillow.open(io.BytesIO(photograph)) as picture:
        assert picture.getexif().get_ifd(files.GPS_TABLE)
    assert b"Exif" not in as_png(read_picture(photograph, param="image"))


@pytest.mark.parametrize("orientation", range(1, 9))
def test_a_picture_is_rotated_by_its_exif_orientation(orientation: int) -> None:
    corner = Pillow.new("RGB", (40, 20), "white")
    corner.paste("red", (0, 0, 20, 10))
    exif = Pillow.Exif()
    exif[0x0112] = orientation
    target = io.BytesIO()
    corner.save(target, "PNG", exif=exif)
    upright = read_picture(target.getvalue(), param="image")
    assert upright.size == ((20, 40) if orientation > 4 else (40, 20))
    right, low = orientation in (2, 3, 6, 7), orientation in (3, 4, 7, 8)
    if orientation in (6, 8):
        right, low = orientation == 6, orientation == 8
    if orientation == 5:
        right, low = False, False
    assert upright.getpixel((upright.width - 2 if right else 1, upright.height - 2 if low else 1)) == (
        255,
        0,
        0,
    )


def test_a_large_picture_is_scaled_down() -> None:
    target = io.BytesIO()
    Pillow.new("RGB", (5712, 4284), "teal").save(target, "JPEG")
    said, _ = peak_of(target.getvalue())
    assert said is None
    assert max(read_picture(target.getvalue(), param="image").size) == KEPT_SIDE_PX


@pytest.mark.parametrize(
    ("mode", "color", "wanted"),
    [
        ("I;16", 40_000, (156, 156, 156)),
        ("LA", (10, 255), (10, 10, 10)),
        ("RGBA", (255, 0, 0, 0), (255, 255, 255)),
        ("P", 0, (0, 0, 0)),
        ("1", 1, (255, 255, 255)),
    ],
)
def test_every_pixel_format_becomes_rgb_on_white(
    mode: str, color: int | tuple[int, ...], wanted: tuple[int, int, int]
) -> None:
    target = io.BytesIO()
    Pillow.new(mode, (9, 7), color).save(target, "PNG")
    assert read_picture(target.getvalue(), param="image").getpixel((3, 3)) == wanted


def test_colors_are_converted_from_the_files_profile_to_srgb() -> None:
    profile = ImageCms.ImageCmsProfile(ImageCms.createProfile("LAB")).tobytes()
    plain, with_foreign = (
        read_picture(files.colored((200, 30, 30), profile=one), param="image").getpixel((0, 0))
        for one in (None, profile)
    )
    # A profile for another color space is ignored.
    assert plain == with_foreign == (200, 30, 30)
    wide = read_picture(files.colored((200, 30, 30), profile=files.wide_profile()), param="image")
    red = wide.getpixel((0, 0))
    assert isinstance(red, tuple) and red[0] > 205


@pytest.mark.parametrize("how", list(Fit))
def test_a_picture_and_its_mask_are_fitted_in_the_same_way(how: Fit) -> None:
    picture, mask = Pillow.new("RGB", (60, 30), "red"), Pillow.new("L", (60, 30), 0)
    fitted = fit(picture, (40, 40), how), fit(mask, (40, 40), how)
    assert [one.size for one in fitted] == [(40, 40)] * 2
    corners = [one.getpixel((0, 0)) for one in fitted]
    # Bars are white, and the white area of a mask is redrawn.
    assert corners == ([(255, 255, 255), 255] if how is Fit.PAD else [(255, 0, 0), 0])


@pytest.mark.parametrize("kind", ["PNG", "JPEG", "WEBP"])
@pytest.mark.parametrize("size", [(8000, 1), (1, 8000), (8191, 3), (4097, 1), (2048, 1)])
def test_a_thin_picture_keeps_at_least_one_pixel_a_side(kind: str, size: tuple[int, int]) -> None:
    target = io.BytesIO()
    Pillow.new("RGB", size, "red").save(target, kind, quality=100)
    picture, mask = (read(target.getvalue(), param="image") for read in (read_picture, read_mask))
    for kept in (picture, mask):
        assert min(kept.size) >= 1 and max(kept.size) <= KEPT_SIDE_PX
        for how in Fit:
            fitted = fit(kept, (96, 192), how)
            assert fitted.size == (96, 192)
            # The middle is the picture itself: neither the black of an empty one nor only bars.
            middle = fitted.convert("RGB").getpixel((48, 96))
            assert isinstance(middle, tuple)
            assert (fitted.mode == "L" and 70 < middle[0] < 80) or (middle[0] > 250 and max(middle[1:]) < 5)


def test_the_size_in_the_header_is_the_size_of_the_decoded_picture() -> None:
    for kind in ("PNG", "JPEG", "WEBP"):
        for options in ({}, {"lossless": True}) if kind == "WEBP" else ({},):
            target = io.BytesIO()
            Pillow.new("RGB", (123, 45)).save(target, kind, **options)
            assert read_header(target.getvalue(), param="image") == (kind, 123, 45)


def test_the_largest_picture_takes_bounded_memory_as_counted_by_the_kernel() -> None:
    # VmHWM, because the alternative (ru_maxrss) starts at the value of the parent process.
    code = (
        "import re, sys\n"
        "from pathlib import Path\n"
        "from services.formats.sanitize import as_png, read_picture\n"
        "def peak_kib():\n"
        "    return int(re.search(r'VmHWM:\\s+(\\d+) kB', Path('/proc/self/status').read_text())[1])\n"
        "file = sys.stdin.buffer.read()\n"
        "before = peak_kib()\n"
        "as_png(read_picture(file, param='image'))\n"
        "print(peak_kib() - before)\n"
    )
    target = io.BytesIO()
    Pillow.new("RGBA", (5000, 5000), (9, 90, 9, 128)).save(target, "PNG", compress_level=1)
    ended = subprocess.run(
        [sys.executable, "-c", code], input=target.getvalue(), capture_output=True, check=True
    )
    grown_kib = int(ended.stdout)
    # 100 MB of decoded pixels, the same on white, and the file.
    assert 100_000 < grown_kib < 320_000
