"""The gallery thumbnail of a picture and its dominant color."""

from __future__ import annotations

import io

from PIL import Image as Pillow

THUMBNAIL_PX = 300


def thumbnail(png: bytes) -> tuple[bytes, str]:
    """Return a WebP that fits into 300 x 300 pixels, and the dominant color as `#rrggbb`.

    A smaller picture keeps its size. Raises OSError for a broken PNG.
    """
    with Pillow.open(io.BytesIO(png), formats=["PNG"]) as picture:
        small = picture.convert("RGB")
    small.thumbnail((THUMBNAIL_PX, THUMBNAIL_PX), Pillow.Resampling.LANCZOS)
    target = io.BytesIO()
    small.save(target, "WEBP", quality=85, method=4)
    return target.getvalue(), dominant_color(small)


def color_of(png: bytes) -> str | None:
    """Return a stored picture's dominant color as `#rrggbb`, or None if it is broken."""
    try:
        return thumbnail(png)[1]
    except (OSError, ValueError):
        return None


def dominant_color(picture: Pillow.Image) -> str:
    """Return the most frequent color of an RGB picture after reduction to eight (median cut), as `#rrggbb`."""
    few = picture.resize((32, 32), Pillow.Resampling.BOX).quantize(8)
    pixels = few.histogram()
    first = 3 * pixels.index(max(pixels))
    return "#{:02x}{:02x}{:02x}".format(*(few.getpalette() or [])[first : first + 3])
