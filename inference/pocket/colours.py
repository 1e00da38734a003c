"""Colors: the words of the palette, the dominant color of a drawing, and recoloring."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

Rgba = npt.NDArray[np.uint8]
"""A drawing: uint8 (height, width, 4), straight alpha."""
Rgb = npt.NDArray[np.uint8]
"""A picture: uint8 (height, width, 3)."""
Floats = npt.NDArray[np.float32]

PALETTE: dict[str, tuple[int, int, int]] = {
    "red": (222, 60, 58),
    "orange": (247, 150, 60),
    "yellow": (252, 214, 76),
    "green": (92, 184, 92),
    "teal": (60, 180, 178),
    "blue": (74, 134, 232),
    "purple": (142, 96, 206),
    "pink": (245, 150, 190),
    "brown": (140, 98, 70),
    "black": (24, 24, 28),
    "gray": (160, 164, 170),
    "white": (255, 255, 255),
}
# Hues in degrees that drawings are recolored to.
HUES: dict[str, float] = {
    "red": 0,
    "orange": 28,
    "yellow": 50,
    "green": 120,
    "teal": 180,
    "blue": 215,
    "purple": 272,
    "pink": 325,
}
SATURATED, LIT, OPAQUE = 0.30, 0.25, 128
NEAR_DEG = 28.0
LUMA = np.array([0.299, 0.587, 0.114], np.float32)


@dataclass(frozen=True)
class Tint:
    """The dominant color of a drawing. `hue_share`: the share of its saturation within 28 degrees of `hue_deg`;
    `saturated`: the share of its pixels that are saturated. Both are 0 to 1.
    """

    colour: str | None
    hue_deg: float
    hue_share: float
    saturated: float

    @property
    def is_plain(self) -> bool:
        """Whether one color dominates the drawing, so that it can be recolored and named by its color."""
        return self.hue_share > 0.6 and self.saturated > 0.35


def hsv(rgb: Floats) -> tuple[Floats, Floats, Floats]:
    """Return hue in degrees, saturation, and value of colors (..., 3) in 0 to 1."""
    value = rgb.max(-1)
    spread = value - rgb.min(-1)
    red, green, blue = rgb[..., 0], rgb[..., 1], rgb[..., 2]
    safe = np.maximum(spread, 1e-6)
    sector = np.where(
        value == red,
        ((green - blue) / safe) % 6,
        np.where(value == green, (blue - red) / safe + 2, (red - green) / safe + 4),
    )
    hue = np.where(spread > 0, sector * 60, 0)
    return (
        np.asarray(hue, np.float32),
        np.asarray(spread / np.maximum(value, 1e-6), np.float32),
        np.asarray(value, np.float32),
    )


def measure_tint(pixels: Rgb) -> Tint:
    """Return the dominant color of `pixels`, uint8 (n, 3)."""
    if len(pixels) < 50:
        return Tint(None, 0.0, 0.0, 0.0)
    hue, saturation, value = hsv(pixels.astype(np.float32) / np.float32(255))
    vivid = (saturation > SATURATED) & (value > LIT)
    share = float(vivid.mean())
    if share < 0.2:
        mean = float(value.mean())
        return Tint("black" if mean < 0.35 else "gray" if mean < 0.8 else "white", 0.0, 0.0, share)
    hue, saturation, value = hue[vivid], saturation[vivid], value[vivid]
    weight = saturation * value
    histogram, _ = np.histogram(hue, bins=72, range=(0, 360), weights=weight)
    # A sliding window of 55 degrees around the color circle.
    windowed = np.convolve(np.r_[histogram[-5:], histogram, histogram[:5]], np.ones(11), "valid")
    # For flat colors several windows have equal weight and the first one is off-center, so the mean is used.
    first_deg = int(windowed.argmax()) * 5 + 2.5
    around = _turn(hue - first_deg)
    inside = np.abs(around) < NEAR_DEG
    main_deg = float((first_deg + np.average(around[inside], weights=weight[inside])) % 360)
    near = np.abs(_turn(hue - main_deg)) < NEAR_DEG
    return Tint(
        colour=hue_name(main_deg, float(saturation[near].mean()), float(value[near].mean())),
        hue_deg=main_deg,
        hue_share=float(weight[near].sum() / weight.sum()),
        saturated=share,
    )


def drawing_tint(drawing: Rgba) -> Tint:
    """Return the dominant color of the opaque part of a drawing."""
    return measure_tint(drawing[drawing[..., 3] > OPAQUE][:, :3])


def _turn(degrees: Floats) -> Floats:
    """Return angles normalized to -180 to 180 degrees."""
    return np.asarray((degrees + 180) % 360 - 180, np.float32)


def hue_name(hue_deg: float, saturation: float, value: float) -> str:
    """Return the palette's word for a color."""
    if 10 <= hue_deg < 45 and value < 0.62:
        return "brown"
    # Crimson has the hue of pink but people call it red: pink is pale.
    if hue_deg < 12 or hue_deg >= 338:
        return "red" if saturation > 0.6 else "pink"
    for limit_deg, name in (
        (40, "orange"),
        (66, "yellow"),
        (165, "green"),
        (195, "teal"),
        (255, "blue"),
        (292, "purple"),
    ):
        if hue_deg < limit_deg:
            return name
    return "pink"


def recolour(drawing: Rgba, tint: Tint, colour: str) -> Rgba:
    """Return the drawing with its hues rotated so that its dominant color becomes `colour`, at about the same
    lightness.

    Rotating hues alone gives neon colors: blue and green as strong as a warm red. So saturation is reduced and
    lightness partly restored.
    """
    rgb = drawing[..., :3].astype(np.float32) / np.float32(255)
    hue, saturation, value = hsv(rgb)
    turned = _from_hsv((hue + HUES[colour] - tint.hue_deg) % 360, saturation * 0.85, value)
    ratio = (rgb @ LUMA + 0.05) / (turned @ LUMA + 0.05)
    softened = np.clip(turned * np.clip(ratio, 0.85, 1.2)[..., None], 0, 1)
    return np.concatenate([(softened * 255 + 0.5).astype(np.uint8), drawing[..., 3:]], -1)


def _from_hsv(hue_deg: Floats, saturation: Floats, value: Floats) -> Floats:
    # Each channel is the value minus a trapezoid function of the hue.
    def channel(offset: float) -> Floats:
        k = (offset + hue_deg / 60) % 6
        ramp = np.clip(np.minimum(k, 4 - k), 0, 1)
        return np.asarray(value - value * saturation * ramp, np.float32)

    return np.stack([channel(5), channel(3), channel(1)], -1)
