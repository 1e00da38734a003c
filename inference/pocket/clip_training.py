"""Stage `clip`: distills the words, trains the image tower against all names, and writes pocket-clip's folder."""

from __future__ import annotations

import tomllib
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
import torch
import torch.nn.functional as F
from torch import nn

from inference.pocket.clip_text import Concepts, TextSide, worded_like
from inference.pocket.dataset import DataSet, Row, load_dataset
from inference.pocket.folders import HERE
from inference.pocket.tower import Tower, TowerShape
from inference.pocket.tower_pictures import Drawings, Wear
from inference.pocket.tower_training import Lesson, TowerPlan, train_tower
from inference.pocket.words import Vectors, Words
from inference.pocket.words_distil import distil_words, save_words
from inference.pocket.words_teacher import Teacher, fetch_teacher

STYLES = ("3d", "glossy", "flat", "noto", "twemoji")
SHAPE = TowerShape((32, 56, 104, 192), 160)
# Drawings of every fourth thing in this style are held back for evaluation.
CHECKED_STYLE, HELD_BACK_EVERY = "noto", 4
# A tenth of each target goes to things with similar names: a picture of a cat is closer to the dog than to the tram.
ALIKE_PART, ALIKE_SHARPNESS = 0.1, 0.1
STYLE_PART = 0.2
SMALLEST_SCALE, LARGEST_SCALE = 4.0, 60.0


@dataclass(frozen=True)
class Knowledge:
    """The things in the order of the data set: names, tags, and the vectors of the words in them."""

    names: tuple[str, ...]
    tags: tuple[tuple[str, ...], ...]
    words: Words

    def text_side(self, places: Vectors | None = None) -> TextSide:
        """Return the text side with the things at `places`, or with zeros as positions."""
        nowhere = np.zeros((len(self.names), 1), np.float32)
        return TextSide(self.words, Concepts(self.names, self.tags, nowhere if places is None else places))

    def without(self, queries: frozenset[str]) -> Knowledge:
        """Return a copy without the tags that are worded like one of the queries."""
        kept = tuple(tuple(t for t in tags if not worded_like(t, queries)) for tags in self.tags)
        return Knowledge(self.names, kept, self.words)


class ClipLearner(nn.Module):
    """The tower with the parts that only training needs: the positions of the things, and the styles."""

    def __init__(self, said: Vectors) -> None:
        super().__init__()
        self.tower = Tower(SHAPE)
        self.style = nn.Linear(SHAPE.features, len(STYLES))
        # The position of a thing is set by its words, plus a learned offset for its looks.
        self.by_words = nn.Linear(said.shape[1], SHAPE.outputs, bias=False)
        self.by_looks = nn.Parameter(torch.zeros(len(said), SHAPE.outputs))
        self.log_scale = nn.Parameter(torch.tensor(2.8))
        self.register_buffer("said", torch.from_numpy(said))

    def places(self) -> torch.Tensor:
        """Return the positions of the things: (things, outputs), unit length."""
        return F.normalize(self.by_words(self.said).float() + self.by_looks, dim=1)

    def forward(self, pictures: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
        """Return scores for all things and for the styles."""
        features = self.tower.features(pictures)
        seen = F.normalize(self.tower.outputs(features).float(), dim=1)
        scale = self.log_scale.exp().clamp(SMALLEST_SCALE, LARGEST_SCALE)
        return scale * seen @ self.places().T, self.style(features)


def train_clip(plan: TowerPlan) -> tuple[ClipLearner, Knowledge, bool]:
    """Run one session. Returns the averaged learner, its knowledge, and whether the run is complete.

    The words are distilled once and kept in the run's folder. Raises `PocketError` when the data set, the teacher, or
    the checkpoint is not usable.
    """
    dataset = load_dataset(plan.root)
    knowledge = read_knowledge(dataset, plan)
    # Tags that share wording with the test queries are excluded, so that text search is measured on unseen words.
    side = knowledge.without(frozenset(read_queries())).text_side()
    torch.manual_seed(plan.seed)
    learner = ClipLearner(side.together)
    alike = torch.softmax(torch.from_numpy(side.together @ side.together.T) / ALIKE_SHARPNESS, 1)
    rows = dataset.rows
    shown = np.array([place for place, row in enumerate(rows) if not is_held_back(row)])
    things, styles = thing_places(rows, knowledge), torch.tensor([STYLES.index(row.style) for row in rows])

    def loss(module: nn.Module, pictures: torch.Tensor, places: npt.NDArray[np.int64]) -> torch.Tensor:
        scores, style = module(pictures)
        asked = torch.from_numpy(things[places])
        wanted = ALIKE_PART * alike[asked]
        wanted[torch.arange(len(asked)), asked] += 1 - ALIKE_PART
        right = F.cross_entropy(scores.float(), wanted.to(scores.device))
        return right + STYLE_PART * F.cross_entropy(style.float(), styles[places].to(style.device))

    even = np.full(len(shown), 1 / len(shown))
    lesson = Lesson(Drawings(dataset, rows), shown, even, Wear())
    average, ended = train_tower(plan, learner, lesson, loss, shape=SHAPE)
    assert isinstance(average, ClipLearner)  # noqa: S101 - for the type checker: the average has the type of the module
    return average, knowledge, ended


def read_knowledge(dataset: DataSet, plan: TowerPlan) -> Knowledge:
    """Return names, tags, and words; distills the words into the run's folder if they are missing."""
    things: dict[str, tuple[str, ...]] = {}
    for row in dataset.rows:
        things.setdefault(row.name, row.tags)
    folder = plan.folder / "words"
    if not folder.is_dir():
        said = {*things, *(tag for tags in things.values() for tag in tags)}
        partial = folder.with_name("words.partial")
        save_words(distil_words(Teacher(fetch_teacher(plan.root)), said), partial)
        partial.rename(folder)
    return Knowledge(tuple(things), tuple(things.values()), Words.open(folder))


def read_queries() -> dict[str, list[str]]:
    """Return the fixed free-text queries and the things that answer each."""
    text = (HERE / "clip_queries.toml").read_text(encoding="utf-8")
    found: dict[str, list[str]] = tomllib.loads(text)
    return found


def is_held_back(row: Row) -> bool:
    """Return whether a drawing is excluded from training, so that evaluation can use it."""
    return row.style == CHECKED_STYLE and row.concept % HELD_BACK_EVERY == 0


def thing_places(rows: tuple[Row, ...], knowledge: Knowledge) -> npt.NDArray[np.int64]:
    """Return the index of each row's thing among the names."""
    places = {name: place for place, name in enumerate(knowledge.names)}
    return np.array([places[row.name] for row in rows])
