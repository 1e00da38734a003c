"""Foreign picture files made into ours: upright, sRGB, in bounded memory, nothing kept but the pixels."""

from __future__ import annotations

import io
import struct
import threading
import warnings
import zlib
from typing import NoReturn

from PIL import Image as Pillow
from PIL import ImageCms, ImageOps

from services.errors import InvalidRequest
from services.formats.image_header import read_header
from services.records import Fit
from services.sentences import sentence, subject

# No model here draws larger; what is larger is made smaller when it arrives.
KEPT_SIDE_PX = 2048
# Pillow opens some 40 formats by default; some of them have run code or filled memory.
FORMATS = ("PNG", "JPEG", "WEBP")
# What Pillow's readers raise for files that are broken in the middle.
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
# A large picture takes 200 MB while it is decoded: one after another, they never take more.
_one_at_a_time = threading.Lock()


def read_picture(file: bytes, *, param: str) -> Pillow.Image:
    """The picture in `file`: RGB in sRGB, upright, what is transparent white, at most KEPT_SIDE_PX a side.

    Up to a second for a large one. Raises InvalidRequest naming `param`, with what is wrong with the file.
    """
    header = read_header(file, param=param)
    with _one_at_a_time, warnings.catch_warnings():
        # Pillow warns of EXIF blocks that are cut off; nothing of them is kept.
        warnings.simplefilter("ignore", UserWarning)
        try:
            with Pillow.open(io.BytesIO(file), formats=FORMATS) as picture:
                # A JPEG with more than one picture is a telephone's: the others are its depth or its brightness.
                if header.kind != "JPEG" and getattr(picture, "n_frames", 1) > 1:
                    _refuse(
                        param,
                        sentence("{what} is animated; send a picture of one frame.", what=subject(param)),
                    )
                turn = _turn(picture)
                # Decodes a large JPEG at a half or less, where that is still large enough.
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
    """The mask in `file`, gray: white is redrawn, black is kept; what is transparent is white.

    Raises InvalidRequest as `read_picture` does.
    """
    return read_picture(file, param=param).convert("L")


def as_png(picture: Pillow.Image) -> bytes:
    """A PNG of nothing but the pixels; the same ones give the same bytes."""
    bare = picture.copy()
    bare.info.clear()
    target = io.BytesIO()
    bare.save(target, "PNG", compress_level=4)
    return target.getvalue()


def fit(picture: Pillow.Image, size: tuple[int, int], how: Fit) -> Pillow.Image:
    """The picture (or mask) in another size; bars are white, which in a mask is redrawn."""
    if picture.size == size:
        return picture
    method = Pillow.Resampling.BILINEAR if picture.mode == "L" else Pillow.Resampling.LANCZOS
    if how is Fit.CROP:
        return ImageOps.fit(picture, size, method)
    if how is Fit.PAD:
        return ImageOps.pad(picture, size, method, color="white")
    return picture.resize(size, method)


def _turn(picture: Pillow.Image) -> Pillow.Transpose | None:
    """How to turn the picture upright by its EXIF block; None when that says nothing, or cannot be read."""
    try:
        return _TURNS.get(picture.getexif().get(_ORIENTATION, 1))
    except BROKEN:
        return None


def _small(picture: Pillow.Image) -> Pillow.Image:
    """The picture in 8 bits a channel, flattened upon white, at most KEPT_SIDE_PX a side."""
    if picture.mode.startswith("I"):
        # 16 bits a pixel; Pillow's own conversion cuts off what is above 255.
        picture = picture.point(lambda value: value * (1 / 256)).convert("L")
    if picture.has_transparency_data:
        clear = picture if picture.mode == "RGBA" else picture.convert("RGBA")
        picture = Pillow.new("RGB", clear.size, "white")
        picture.paste(clear, mask=clear.getchannel("A"))
    elif picture.mode not in ("L", "RGB", "CMYK"):
        picture = picture.convert("RGB")
    if max(picture.size) > KEPT_SIDE_PX:
        picture = ImageOps.contain(picture, (KEPT_SIDE_PX, KEPT_SIDE_PX), Pillow.Resampling.LANCZOS)
    return picture


def _srgb(picture: Pillow.Image, profile: object) -> Pillow.Image:
    """In sRGB by the profile of the file; a profile that is broken, or for another kind of pixels, is passed over."""
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
