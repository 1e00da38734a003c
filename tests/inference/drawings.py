"""Pictures for requests: noise, masks, and files as base64."""

from __future__ import annotations

import base64
import io
from typing import Any

import numpy as np
import numpy.typing as npt
from PIL import Image


def noise_picture(seed: int, width: int = 64, height: int = 64) -> npt.NDArray[np.uint8]:
    """Return colored blocks of 8 px, the same for the same seed."""
    small = np.random.default_rng(seed).integers(0, 256, (-(-height // 8), -(-width // 8), 3), dtype=np.uint8)
    return small.repeat(8, axis=0).repeat(8, axis=1)[:height, :width]


def encode(picture: Any, form: str = "PNG", **options: Any) -> bytes:
    """Return the file of a Pillow picture or of pixels."""
    stream = io.BytesIO()
    image = picture if isinstance(picture, Image.Image) else Image.fromarray(picture)
    image.save(stream, form, **options)
    return stream.getvalue()


def as_base64(picture: Any, form: str = "PNG", **options: Any) -> str:
    """Return such a file as base64."""
    return base64.b64encode(encode(picture, form, **options)).decode()


def mask_base64(white_from: int, width: int = 64, height: int = 64) -> str:
    """Return a mask that is black on the left and white from a column on."""
    mask = np.zeros((height, width), dtype=np.uint8)
    mask[:, white_from:] = 255
    return as_base64(mask)
