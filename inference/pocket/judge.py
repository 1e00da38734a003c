"""Recognizes what a picture shows: a classifier trained on the data only, sharing no weights with the models it judges.

It is trained on the drawings in all five styles, moved, recolored, blurred, and speckled, on any background, so that it
judges what a picture shows and not how cleanly it is drawn. Its ceiling is its accuracy on real pictures that match the
prompts.
"""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import numpy.typing as npt
import torch
import torch.nn.functional as F
from safetensors import SafetensorError
from safetensors.torch import load_file, save_file
from torch import nn

from inference.pocket.colours import PALETTE, Rgb, Tint, measure_tint
from inference.pocket.dataset import DataSet, load_dataset
from inference.pocket.errors import PocketError
from inference.pocket.tower import Tower, TowerShape
from inference.pocket.tower_discriminant import class_means, discriminant
from inference.pocket.tower_pictures import GENERATED, Drawings, to_tensor
from inference.pocket.tower_training import Lesson, TowerPlan, train_tower

WIDTHS = (32, 56, 112, 208)
SMOOTHING = 0.05
BATCH = 64
SETTLING_TURNS = 3
# Things in the prompts are shown this many times as often as the others.
ASKED_WEIGHT = 5.0
FOREGROUND_DISTANCE = 48.0
BORDER_PX = 2


@dataclass(frozen=True)
class Verdict:
    """The judge's answer: the most likely things, and the rank (from 1) of the first one that was asked for."""

    likeliest: tuple[str, ...]
    rank: int


class Judge:
    """Recognizes all things of a data set; about 5 ms a picture on one CPU core."""

    def __init__(self, tower: Tower, names: Sequence[str]) -> None:
        self._tower, self.names = tower.eval(), tuple(names)
        self._places = {name: place for place, name in enumerate(names)}

    @classmethod
    def open(cls, folder: Path) -> Judge:
        """Read what `train_judge` wrote. Raises `PocketError` when it is missing or broken."""
        try:
            names = json.loads((folder / "names.json").read_text(encoding="utf-8"))
            tower = Tower(TowerShape(WIDTHS, len(names)))
            tower.load_state_dict(load_file(folder / "judge.safetensors"))
        except (OSError, ValueError, RuntimeError, SafetensorError) as exc:
            raise PocketError(
                f"{folder} holds no judge: {exc}. `python -m inference.pocket judge` trains one."
            ) from exc
        return cls(tower, names)

    def ask(self, pictures: Sequence[Rgb], things: Sequence[Sequence[str]]) -> list[Verdict]:
        """Return a verdict for each picture, uint8 (side, side, 3) of any size; each of its `things` is a right
        answer.
        """
        verdicts: list[Verdict] = []
        for start in range(0, len(pictures), BATCH):
            with torch.inference_mode():
                seen = to_tensor(pictures[start : start + BATCH])
                # Averaging with the mirror image is more accurate: mirroring rarely changes what a picture shows.
                looks = [torch.log_softmax(self._tower(look), 1) for look in (seen, seen.flip(3))]
                scores = looks[0] + looks[1]
            for ranked, wanted in zip(
                scores.argsort(1, descending=True).tolist(), things[start : start + BATCH], strict=True
            ):
                rank = min(ranked.index(self._places[thing]) for thing in wanted) + 1
                verdicts.append(Verdict(tuple(self.names[place] for place in ranked[:5]), rank))
        return verdicts


def train_judge(plan: TowerPlan, asked: frozenset[str]) -> Judge | None:
    """Run one session. Returns None until the run is complete, then the judge, which is saved in `<root>/judge`.

    The things in `asked` are shown more often than the others. Raises `PocketError` when the data set or the checkpoint
    is not usable.
    """
    dataset = load_dataset(plan.root)
    names = _names(dataset)
    places = {name: place for place, name in enumerate(names)}
    answers = torch.tensor([places[row.name] for row in dataset.rows])
    weights = np.array([ASKED_WEIGHT if row.name in asked else 1.0 for row in dataset.rows])

    def loss(module: nn.Module, pictures: torch.Tensor, rows: npt.NDArray[np.int64]) -> torch.Tensor:
        wanted = answers[torch.from_numpy(rows)].to(pictures.device)
        return F.cross_entropy(module(pictures).float(), wanted, label_smoothing=SMOOTHING)

    torch.manual_seed(plan.seed)
    tower = Tower(TowerShape(WIDTHS, len(names)))
    lesson = Lesson(
        Drawings(dataset, dataset.rows), np.arange(len(dataset.rows)), weights / weights.sum(), GENERATED
    )
    average, ended = train_tower(plan, tower, lesson, loss, widths=WIDTHS, asked=sorted(asked))
    if not ended:
        return None
    assert isinstance(average, Tower)  # noqa: S101 - for the type checker: the average has the type of the module
    _settle(average, lesson.drawings, answers.numpy(), plan.seed)
    folder = plan.root / "judge"
    folder.mkdir(parents=True, exist_ok=True)
    save_file({n: v.contiguous() for n, v in average.state_dict().items()}, folder / "judge.safetensors")
    (folder / "names.json").write_text(json.dumps(names), encoding="utf-8")
    return Judge.open(folder)


def _settle(tower: Tower, drawings: Drawings, answers: npt.NDArray[np.int64], seed: int) -> None:
    """Replace the last layer by the linear discriminant of the features of all drawings, each augmented in three ways.

    This uses how features vary under recoloring and wear rather than the few times each thing was shown: score of a
    thing = m A x - |m|^2 / 2, with m its mean on the axes A (Fisher 1936).
    """
    features, of = [], []
    for turn in range(SETTLING_TURNS):
        for start in range(0, len(answers), BATCH):
            places = np.arange(start, min(start + BATCH, len(answers)))
            pictures = drawings.batch(places, GENERATED, seed + (turn + 1) * 2**32 + start)
            with torch.inference_mode():
                features.append(tower.features(pictures).numpy())
            of.append(answers[places])
    seen, things = np.concatenate(features), np.concatenate(of)
    middle, axes = discriminant(seen, things)
    means = class_means((seen - middle) @ axes, things, int(answers.max()) + 1)
    with torch.no_grad():
        tower.outputs.weight.copy_(torch.from_numpy(means @ axes.T))
        shift = -(means @ (middle @ axes)) - np.square(means).sum(1) / 2
        tower.outputs.bias.copy_(torch.from_numpy(shift))


def _names(dataset: DataSet) -> list[str]:
    return list(dict.fromkeys(row.name for row in dataset.rows))


def background_of(picture: Rgb) -> npt.NDArray[np.float64]:
    """Return the color around the thing: the median of the picture's border, (3,) in 0 to 255."""
    b = BORDER_PX
    edge = [
        picture[:b].reshape(-1, 3),
        picture[-b:].reshape(-1, 3),
        picture[:, :b].reshape(-1, 3),
        picture[:, -b:].reshape(-1, 3),
    ]
    return np.asarray(np.median(np.concatenate(edge), axis=0), np.float64)


def foreground_of(picture: Rgb) -> Rgb:
    """Return the pixels that differ from the background, uint8 (n, 3)."""
    distance = np.linalg.norm(picture.astype(np.float64) - background_of(picture), axis=-1)
    return np.asarray(picture[distance > FOREGROUND_DISTANCE])


def thing_tint(picture: Rgb) -> Tint:
    """Return the dominant color of the thing in a picture."""
    return measure_tint(foreground_of(picture))


def background_name(picture: Rgb) -> str:
    """Return the palette's word for the color nearest to the background."""
    ground = background_of(picture)
    return min(PALETTE, key=lambda name: float(np.linalg.norm(ground - np.array(PALETTE[name]))))
