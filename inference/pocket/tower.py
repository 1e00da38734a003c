"""A small residual network that turns pictures of 64 px into features: the image tower of pocket-clip and the judge."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy.typing as npt
import torch
import torch.nn.functional as F
from torch import nn

SIDE_PX = 64
STEPS, SCALES = 127, ".scales"
LEAST_PACKED = 10_000


@dataclass(frozen=True)
class TowerShape:
    """`widths`: channels at 32, 16, 8, and 4 px; `outputs`: the width of the last layer."""

    widths: tuple[int, int, int, int]
    outputs: int

    @property
    def features(self) -> int:
        """The number of features: the mean and the four quarters' maxima of every channel."""
        return 5 * self.widths[-1]

    @property
    def signs(self) -> int:
        """The number of style features: mean and deviation of every channel of every stage."""
        return 2 * sum(self.widths)


class Block(nn.Module):
    """Two convolutions with a shortcut (He et al. 2015); the second starts at zero (Goyal et al. 2017)."""

    def __init__(self, inner: int, outer: int, stride: int) -> None:
        super().__init__()
        self.first = nn.Conv2d(inner, outer, 3, stride, 1, bias=False)
        self.first_norm = nn.BatchNorm2d(outer)
        self.second = nn.Conv2d(outer, outer, 3, 1, 1, bias=False)
        self.second_norm = nn.BatchNorm2d(outer)
        nn.init.zeros_(self.second_norm.weight)
        same = inner == outer and stride == 1
        self.ends_stage = same
        self.shortcut: nn.Module = nn.Identity() if same else nn.Conv2d(inner, outer, 1, stride)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        inner = F.relu(self.first_norm(self.first(x)))
        return F.relu(self.shortcut(x) + self.second_norm(self.second(inner)))


class Tower(nn.Module):
    """Maps pictures float (n, 3, s, s) in -1 to 1, with s 32, 48, or 64, to features (n, 5 w) and outputs (n,
    outputs).
    """

    def __init__(self, shape: TowerShape) -> None:
        super().__init__()
        first, *others = shape.widths
        layers: list[nn.Module] = [
            nn.Conv2d(3, first, 4, 2, 1, bias=False),
            nn.BatchNorm2d(first),
            nn.ReLU(),
        ]
        for inner, outer in zip(shape.widths, others, strict=False):
            layers += [Block(inner, outer, 2), Block(outer, outer, 1)]
        self.layers = nn.Sequential(*layers)
        self.outputs = nn.Linear(shape.features, shape.outputs)

    def features(self, pictures: torch.Tensor) -> torch.Tensor:
        """Return the features before the last layer. Pooling by quarters keeps some information about position."""
        return self._pooled(self.layers(pictures))

    def _pooled(self, grid: torch.Tensor) -> torch.Tensor:
        mean = grid.mean((2, 3))
        # Four overlapping or adjoining quarters of a grid with a side of 4, 3, or 2.
        side = grid.shape[-1]
        quarters = F.max_pool2d(grid, side - side // 2, side // 2).flatten(1)
        return torch.cat([mean, quarters], 1)

    def features_and_signs(self, pictures: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
        """Return the features, and the style features: mean and deviation of every channel of every stage.

        Style shows in the early stages and in the deviations (Gatys et al. 2016).
        """
        signs: list[torch.Tensor] = []
        grid = pictures
        for layer in self.layers:
            grid = layer(grid)
            if isinstance(layer, nn.ReLU) or (isinstance(layer, Block) and layer.ends_stage):
                signs += [grid.mean((2, 3)), grid.std((2, 3))]
        return self._pooled(grid), torch.cat(signs, 1)

    def forward(self, pictures: torch.Tensor) -> torch.Tensor:
        found: torch.Tensor = self.outputs(self.features(pictures))
        return found


def pack(weights: dict[str, torch.Tensor]) -> dict[str, torch.Tensor]:
    """Return weights in their stored form: large matrices in int8 with one float16 scale per output, the rest
    unchanged.

    A quarter of the size of float32; each weight is off by at most half a step, 1/254 of its row's maximum.
    """
    packed: dict[str, torch.Tensor] = {}
    for name, weight in weights.items():
        if weight.ndim < 2 or weight.numel() < LEAST_PACKED:
            packed[name] = weight.contiguous()
            continue
        rows = weight.detach().float().flatten(1)
        scales = (rows.abs().amax(1) / STEPS).clamp(min=1e-6).half()
        steps = (rows / scales.float()[:, None]).round().clamp(-STEPS, STEPS)
        packed[name] = steps.to(torch.int8).view(weight.shape).contiguous()
        packed[name + SCALES] = scales
    return packed


def unpack(packed: dict[str, npt.NDArray[Any]]) -> dict[str, torch.Tensor]:
    """Return the weights that were passed to `pack`, in float32, rounded to int8 steps."""
    weights: dict[str, torch.Tensor] = {}
    for name, stored in packed.items():
        if name.endswith(SCALES):
            continue
        weight = torch.from_numpy(stored)
        if name + SCALES in packed:
            scales = torch.from_numpy(packed[name + SCALES]).float()
            weight = weight.float() * scales.view(-1, *[1] * (weight.ndim - 1))
        weights[name] = weight
    return weights
