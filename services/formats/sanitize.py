"""Sanitizes uploaded pictures: upright, sRGB, in bounded memory, with nothing kept but the pixels."""

from __future__ import annotations

import io
import struct
import warnings
import zlib
from typing import NoReturn

from PIL import Image as Pillow
from PIL import ImageCms, ImageOps

from services.errors import InvalidRequest
from services.formats.image_header import read_header
from services.records import Fit
from services.sentences import sentence, subject

# No model here draws larger pictures; larger uploads are scaled down.
KEPT_SIDE_PX = 2048
# Pillow opens about 40 formats by default; some have allowed code execution or memory exhaustion.
FORMATS = ("PNG", "JPEG", "WEBP")
# What Pillow's readers raise for files that are corrupt after the header.
BROKEN = (OSError, EOFError, LookupError, SyntaxError, TypeError, ValueError, struct.error, zlib.error)
# A printer's profile has about 2 MB.
MAX_PROFILE_BYTES = 4_000_000
_ORIENTATION = 0x0112
_TURNS = {
    2: Pillow.Transpose.FLIP_LEFT_RIGHT,
    3: Pillow.Transpose.ROTATE_180,
    4: Pillow.Transpose.FLIP_TOP_BOTTOM,
    5: Pillow.Transpose.TRANSPOSE,
    6: Pillow.Transpose.ROTATE_270,
    7: Pillow.Transpose.TRANSVERSE,
    8: Pillow.Transpose.ROTATE_90,
}


def read_picture(file: bytes, *, param: str) -> Pillow.Image:
    """Return the picture in `file`: RGB in sRGB, upright, transparency on white, at most KEPT_SIDE_PX a side.

    Takes up to a second and 200 MB for a large one, so callers take a turn of `decoding` first. Raises InvalidRequest
    naming `param` and what is wrong with the file.
    """
    header = read_header(file, param=param)
    with warnings.catch_warnings():
        # Pillow warns about truncated EXIF blocks, which are dropped anyway.
        warnings.simplefilter("ignore", UserWarning)
        try:
            with Pillow.open(io.BytesIO(file), formats=FORMATS) as picture:
                # A JPEG with several pictures comes from a phone: the others are depth or brightness maps.
                if header.kind != "JPEG" and getattr(picture, "n_frames", 1) > 1:
                    _refuse(
                        param,
                        sentence("{what} is animated; send a picture of one frame.", what=subject(param)),
                    )
                turn = _turn(picture)
                # Decodes a large JPEG at half size or less if that is still large enough.
                picture.draft(None, (KEPT_SIDE_PX, KEPT_SIDE_PX))
                picture.load()
                plain = _srgb(_small(picture), picture.info.get("icc_profile"))
        except (Pillow.DecompressionBombError, Pillow.DecompressionBombWarning):
            _refuse(
                param,
                sentence(
                    "{what} has more pixels than its front says; send another file.", what=subject(param)
                ),
            )
        except BROKEN:
            _refuse(
                param,
                sentence(
                    "{what} cannot be read to its end: the file is cut off or broken.", what=subject(param)
                ),
            )
    return plain if turn is None else plain.transpose(turn)


def read_mask(file: bytes, *, param: str) -> Pillow.Image:
    """Return the mask in `file` in gray: white is redrawn, black is kept; transparency becomes white.

    Raises InvalidRequest as `read_picture` does.
    """
    return read_picture(file, param=param).convert("L")


def as_png(picture: Pillow.Image) -> bytes:
    """Return a PNG with nothing but the pixels; deterministic."""
    bare = picture.copy()
    bare.info.clear()
    target = io.BytesIO()
    bare.save(target, "PNG", compress_level=4)
    return target.getvalue()


def fit(picture: Pillow.Image, size: tuple[int, int], how: Fit) -> Pillow.Image:
    """Return the picture or mask in another size; padding is white, which a mask redraws."""
    if picture.size == size:
        return picture
    method = Pillow.Resampling.BILINEAR if picture.mode == "L" else Pillow.Resampling.LANCZOS
    if how is Fit.CROP:
        return ImageOps.fit(picture, size, method)
    if how is Fit.PAD:
        return ImageOps.pad(_within(picture, size, method), size, method, color="white")
    return picture.resize(size, method)


def _turn(picture: Pillow.Image) -> Pillow.Transpose | None:
    """Return how to turn the picture upright by its EXIF block, or None if that is missing or unreadable."""
    try:
        return _TURNS.get(picture.getexif().get(_ORIENTATION, 1))
    except BROKEN:
        return None


def _small(picture: Pillow.Image) -> Pillow.Image:
    """Return the picture in 8 bits per channel, flattened onto white, at most KEPT_SIDE_PX a side."""
    if picture.mode.startswith("I"):
        # 16 bits per pixel; Pillow's own conversion clips values above 255.
        picture = picture.point(lambda value: value * (1 / 256)).convert("L")
    if picture.has_transparency_data:
        clear = picture if picture.mode == "RGBA" else picture.convert("RGBA")
        picture = Pillow.new("RGB", clear.size, "white")
        picture.paste(clear, mask=clear.getchannel("A"))
    elif picture.mode not in ("L", "RGB", "CMYK"):
        picture = picture.convert("RGB")
    if max(picture.size) > KEPT_SIDE_PX:
        picture = _within(picture, (KEPT_SIDE_PX, KEPT_SIDE_PX), Pillow.Resampling.LANCZOS)
    return picture


def _within(picture: Pillow.Image, size: tuple[int, int], method: Pillow.Resampling) -> Pillow.Image:
    """Return the picture at the largest size that fits, with at least one pixel a side however thin it is."""
    factor = min(size[0] / picture.width, size[1] / picture.height)
    width, height = (
        min(most, max(1, round(length * factor))) for length, most in zip(picture.size, size, strict=True)
    )
    return picture.resize((width, height), method)


def _srgb(picture: Pillow.Image, profile: object) -> Pillow.Image:
    """Convert to sRGB by the file's profile; ignores a profile that is broken or for another pixel type."""
    if isinstance(profile, bytes) and len(profile) <= MAX_PROFILE_BYTES:
        try:
            return ImageCms.profileToProfile(  # type: ignore[return-value]
                picture, ImageCms.ImageCmsProfile(io.BytesIO(profile)), ImageCms.createProfile("sRGB"),
                outputMode="RGB",
            )  # fmt: skip
        except (ImageCms.PyCMSError, *BROKEN):
            pass
    return picture.convert("RGB")


def _refuse(param: str, message: str) -> NoReturn:
    raise InvalidRequest(message, param=param)
