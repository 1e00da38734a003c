"""The training pictures of pocket-clip's tower and the judge: drawings moved, recolored, and worn, on any background.

Whole batches are processed with torch, so that making a picture costs a tenth of training on it.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
import torch
import torch.nn.functional as F
from PIL import Image

from inference.pocket.captions import COLOUR_WORD
from inference.pocket.colours import PALETTE
from inference.pocket.dataset import DataSet, Row
from inference.pocket.tower import SIDE_PX

# For rotating hues about the gray axis: conversion to luma and two color axes (NTSC's YIQ matrix), and back.
TO_YIQ = torch.tensor([[0.299, 0.587, 0.114], [0.596, -0.274, -0.322], [0.211, -0.523, 0.312]])
FROM_YIQ = torch.linalg.inv(TO_YIQ)


@dataclass(frozen=True)
class Wear:
    """How far pictures depart from the plain drawing; each `share` is the share of a batch that is affected."""

    least_scale: float = 0.66
    turn_deg: float = 8.0
    recoloured_share: float = 0.2
    blurred_share: float = 0.3
    noisy_share: float = 0.3
    coarse_share: float = 0.15
    plain_share: float = 0.35


# Like a model's worst pictures: soft, speckled, with wrong colors.
GENERATED = Wear(
    least_scale=0.72,
    turn_deg=6.0,
    recoloured_share=0.4,
    blurred_share=0.45,
    noisy_share=0.4,
    coarse_share=0.3,
)


class Drawings:
    """The drawings of all rows at 64 px, premultiplied: uint8 (rows, 4, 64, 64), 110 MB for the whole data set."""

    def __init__(self, dataset: DataSet, rows: Sequence[Row]) -> None:
        pixels = np.empty((len(rows), 4, SIDE_PX, SIDE_PX), np.uint8)
        for place, row in enumerate(rows):
            # Pillow weights colors by alpha when downscaling.
            image = Image.fromarray(dataset.images[row.index]).resize(
                (SIDE_PX, SIDE_PX), Image.Resampling.LANCZOS
            )
            rgba = np.asarray(image).transpose(2, 0, 1)
            pixels[place, 3] = rgba[3]
            pixels[place, :3] = (rgba[:3].astype(np.uint16) * rgba[3] + 127) // 255
        self._pixels = torch.from_numpy(pixels)
        self._may_flip = torch.tensor([row.may_flip for row in rows])
        # A thing whose name contains a color would become another thing.
        self._may_recolour = torch.tensor([COLOUR_WORD.search(row.name) is None for row in rows])

    def batch(
        self, places: npt.NDArray[np.int64], wear: Wear, seed: int, side_px: int = SIDE_PX
    ) -> torch.Tensor:
        """Return pictures float32 (n, 3, side, side) in -1 to 1 of the rows at `places`, random but determined by
        the seed.
        """
        generator = torch.Generator().manual_seed(seed)
        chosen = torch.from_numpy(places)
        drawings = self._pixels[chosen].float() / 255
        if 2 * side_px <= SIDE_PX:
            # Downscale first: sampling every other pixel would break up fine lines.
            drawings = F.avg_pool2d(drawings, 2)
        moved = _move(drawings, self._may_flip[chosen], wear, generator, side_px)
        colour, alpha = moved[:, :3], moved[:, 3:].clamp(0, 1)
        colour = _recolour(colour, alpha, self._may_recolour[chosen], wear, generator)
        pictures = colour + (1 - alpha) * _grounds(len(places), wear, generator, side_px)
        return _worn(pictures, wear, generator).clamp(0, 1) * 2 - 1


def to_tensor(pictures: Sequence[npt.NDArray[np.uint8]]) -> torch.Tensor:
    """Convert pictures uint8 (height, width, 3) to a tower's input: float32 (n, 3, 64, 64) in -1 to 1."""
    sized = [
        np.asarray(Image.fromarray(p).resize((SIDE_PX, SIDE_PX), Image.Resampling.LANCZOS))
        if p.shape[:2] != (SIDE_PX, SIDE_PX)
        else p
        for p in pictures
    ]
    return torch.from_numpy(np.stack(sized)).permute(0, 3, 1, 2).float() / 127.5 - 1


def _chance(count: int, share: float, generator: torch.Generator) -> torch.Tensor:
    return torch.rand(count, generator=generator) < share


def _between(count: int, low: float, high: float, generator: torch.Generator) -> torch.Tensor:
    return low + (high - low) * torch.rand(count, generator=generator)


def _move(
    drawings: torch.Tensor, may_flip: torch.Tensor, wear: Wear, generator: torch.Generator, side_px: int
) -> torch.Tensor:
    """Scale, rotate, mirror, and shift; the area outside the drawing is transparent."""
    count = len(drawings)
    scale = _between(count, wear.least_scale, 1.0, generator)
    stretch = _between(count, 0.94, 1.06, generator)
    turn = _between(count, -wear.turn_deg, wear.turn_deg, generator) * (math.pi / 180)
    # Half stay upright, as in most requested pictures.
    turn = turn * _chance(count, 0.5, generator)
    mirror = torch.where(_chance(count, 0.5, generator) & may_flip, -1.0, 1.0)
    room = (1 - scale).clamp(min=0.02)
    across, down = (_between(count, -1.0, 1.0, generator) * room for _ in range(2))
    centred = _chance(count, 0.4, generator)
    across, down = (torch.where(centred, torch.zeros(()), shift) for shift in (across, down))
    cos, sin = torch.cos(turn) / scale, torch.sin(turn) / scale
    # Maps positions in the picture to positions in the drawing.
    rows = [
        torch.stack([mirror * cos * stretch, mirror * sin, -mirror * (cos * across + sin * down)], 1),
        torch.stack([-sin, cos / stretch, sin * across - cos * down], 1),
    ]
    grid = F.affine_grid(torch.stack(rows, 1), [count, 4, side_px, side_px], align_corners=False)
    return F.grid_sample(drawings, grid, mode="bilinear", padding_mode="zeros", align_corners=False)


def _recolour(
    colour: torch.Tensor,
    alpha: torch.Tensor,
    may: torch.Tensor,
    wear: Wear,
    generator: torch.Generator,
) -> torch.Tensor:
    """Rotate the hues of some drawings by any angle, the others slightly; vary saturation, contrast, and brightness."""
    count = len(colour)
    turned = _chance(count, wear.recoloured_share, generator) & may
    hue = torch.where(
        turned, _between(count, 0, 2 * math.pi, generator), _between(count, -0.15, 0.15, generator)
    )
    vivid = _between(count, 0.75, 1.15, generator)
    cos, sin = torch.cos(hue) * vivid, torch.sin(hue) * vivid
    none, one = torch.zeros(count), torch.ones(count)
    rotation = torch.stack([one, none, none, none, cos, -sin, none, sin, cos], 1).view(count, 3, 3)
    matrix = FROM_YIQ @ rotation @ TO_YIQ
    light = _between(count, 0.88, 1.1, generator).view(-1, 1, 1)
    shift = _between(count, -0.05, 0.05, generator).view(-1, 1, 1)
    mixed: torch.Tensor = (matrix @ colour.flatten(2)) * light + shift * alpha.flatten(2)
    return mixed.view_as(colour).clamp(min=0).minimum(alpha)


def _grounds(count: int, wear: Wear, generator: torch.Generator, side_px: int) -> torch.Tensor:
    """Return backgrounds: white, a palette color, any color, or a gradient: float32 (n, 3, side, side)."""
    palette = torch.tensor(list(PALETTE.values())).float() / 255
    near = palette[torch.randint(len(palette), (count,), generator=generator)]
    near = near + 0.055 * (2 * torch.rand(count, 3, generator=generator) - 1)
    free = torch.rand(count, 3, generator=generator)
    ground = torch.where(_chance(count, 0.25, generator)[:, None], free, near)
    ground = torch.where(_chance(count, wear.plain_share, generator)[:, None], torch.ones(3), ground)
    other = ground + 0.5 * (torch.rand(count, 3, generator=generator) - 0.5)
    other = torch.where(_chance(count, 0.12, generator)[:, None], other, ground)
    along = torch.linspace(0, 1, side_px).view(1, 1, side_px, 1)
    first, last = ground[..., None, None], other[..., None, None]
    return (first + (last - first) * along).clamp(0, 1).expand(-1, -1, -1, side_px)


def _worn(pictures: torch.Tensor, wear: Wear, generator: torch.Generator) -> torch.Tensor:
    """Blur some pictures, upsample some from half their size, and add noise to some."""
    count = len(pictures)
    pictures = pictures.clone()
    blurred = _chance(count, wear.blurred_share, generator)
    if blurred.any():
        sharp = pictures[blurred]
        soft = F.avg_pool2d(F.pad(sharp, (1, 1, 1, 1), mode="replicate"), 3, 1)
        # Negative amounts sharpen, because real pictures are resized in many ways.
        amount = _between(len(sharp), -0.6, 1.0, generator).view(-1, 1, 1, 1)
        pictures[blurred] = sharp + amount * (soft - sharp)
    coarse = _chance(count, wear.coarse_share, generator)
    if coarse.any():
        half = F.avg_pool2d(pictures[coarse], 2)
        pictures[coarse] = F.interpolate(half, size=pictures.shape[2:], mode="bilinear", align_corners=False)
    noisy = _chance(count, wear.noisy_share, generator)
    if noisy.any():
        some = pictures[noisy]
        strength = _between(len(some), 0, 0.08, generator).view(-1, 1, 1, 1)
        pictures[noisy] = some + strength * torch.randn(some.shape, generator=generator)
    return pictures
