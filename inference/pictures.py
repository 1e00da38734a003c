"""Pictures that come in with a request: checked before they are decoded, upright, RGB, in the size asked for."""

from __future__ import annotations

import base64
import binascii
import io
import struct
import zlib

import numpy as np
import numpy.typing as npt
from PIL import Image as PillowImage
from PIL import ImageOps

from inference.errors import InvalidRequest

MAX_FILE_BYTES = 8 * 1024 * 1024
MAX_BASE64_CHARS = 4 * -(-MAX_FILE_BYTES // 3)
MAX_INPUT_SIDE_PX = 4096
# Pillow opens some 40 formats by default; some have had code execution or memory exhaustion bugs.
FORMATS = ("PNG", "JPEG", "WEBP")
# Raised by Pillow's readers for damaged files.
BROKEN = (
    OSError,
    ValueError,
    SyntaxError,
    EOFError,
    IndexError,
    KeyError,
    TypeError,
    struct.error,
    zlib.error,
)


def read_picture(data: str, param: str, width: int, height: int) -> npt.NDArray[np.uint8]:
    """Return the picture in base64 `data` as uint8 (height, width, 3), turned upright by its EXIF entry.

    What is transparent becomes white. Raises `InvalidRequest` naming `param` and what is wrong with the file.
    """
    picture = _open(data, param)
    if picture.size != (width, height):
        picture = picture.resize((width, height), PillowImage.Resampling.LANCZOS)
    return np.asarray(picture)


def read_mask(data: str, param: str, width: int, height: int) -> npt.NDArray[np.uint8]:
    """Return the mask in base64 `data` as uint8 (height, width): 255 is redrawn, 0 is kept.

    Raises `InvalidRequest` naming `param`, also for a mask that leaves nothing to draw.
    """
    mask = _open(data, param).convert("L")
    if mask.size != (width, height):
        mask = mask.resize((width, height), PillowImage.Resampling.BILINEAR)
    values = np.asarray(mask)
    # The pipelines treat pixels that are at least half white as masked.
    if values.max() < 128:
        raise InvalidRequest(
            f"`{param}` has no white area, so nothing would change. White is redrawn, black is kept.",
            param=param,
        )
    return values


def keep_masked(
    drawn: npt.NDArray[np.uint8], image: npt.NDArray[np.uint8], mask: npt.NDArray[np.uint8]
) -> npt.NDArray[np.uint8]:
    """Return `drawn` where `mask` is white and `image` where it is black; both are resized to `drawn`.

    An autoencoder slightly changes every pixel, even outside the mask.
    """
    height, width = drawn.shape[:2]
    if mask.shape != (height, width):
        image = np.asarray(PillowImage.fromarray(image).resize((width, height)))
        mask = np.asarray(PillowImage.fromarray(mask).resize((width, height)))
    share = mask[..., None].astype(np.float32) / 255
    mixed: npt.NDArray[np.uint8] = (drawn * share + image * (1 - share)).round().astype(np.uint8)
    return mixed


def _open(data: str, param: str) -> PillowImage.Image:
    try:
        file = base64.b64decode(data, validate=True)
    except (binascii.Error, ValueError):
        raise InvalidRequest(
            f"`{param}` must be base64 of a picture file, without line breaks and without `data:`.",
            param=param,
        ) from None
    if len(file) > MAX_FILE_BYTES:
        raise InvalidRequest(
            f"`{param}` must be a file of at most {MAX_FILE_BYTES // 1024 // 1024} MiB, not {len(file)} bytes.",
            param=param,
        )
    try:
        picture = PillowImage.open(io.BytesIO(file), formats=FORMATS)
    except (PillowImage.DecompressionBombError, PillowImage.DecompressionBombWarning):
        raise _too_large(param) from None
    except BROKEN:
        raise InvalidRequest(
            f"`{param}` must be a PNG, JPEG or WebP picture; this file is none of them, or broken at its start.",
            param=param,
        ) from None
    # Read from the header; nothing is decoded yet.
    if max(picture.size) > MAX_INPUT_SIDE_PX:
        raise _too_large(param)
    if getattr(picture, "n_frames", 1) > 1:
        raise InvalidRequest(f"`{param}` is animated: send a picture of one frame.", param=param)
    try:
        picture.load()
        return _to_rgb(ImageOps.exif_transpose(picture))
    except BROKEN:
        raise InvalidRequest(
            f"`{param}` cannot be read to its end: the file is cut off or broken.", param=param
        ) from None


def _to_rgb(picture: PillowImage.Image) -> PillowImage.Image:
    if picture.mode.startswith("I"):
        # 16 bits per pixel; Pillow's own conversion clips values above 255.
        gray = np.asarray(picture).astype(np.uint32) >> 8
        return PillowImage.fromarray(gray.clip(0, 255).astype(np.uint8)).convert("RGB")
    if picture.has_transparency_data:
        upon = PillowImage.new("RGBA", picture.size, "white")
        return PillowImage.alpha_composite(upon, picture.convert("RGBA")).convert("RGB")
    return picture.convert("RGB")


def _too_large(param: str) -> InvalidRequest:
    return InvalidRequest(
        f"`{param}` must be at most {MAX_INPUT_SIDE_PX} pixels a side: send a smaller one.", param=param
    )
