"""Tests of the judge: it learns the things of a data set, recognizes them, and is read back from disk."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from safetensors.torch import load_file

from inference.pocket import judge as judging
from inference.pocket.colours import Rgb
from inference.pocket.dataset import DataSet
from inference.pocket.errors import PocketError
from inference.pocket.judge import Judge, train_judge
from inference.pocket.tower_training import TowerPlan
from inference.pocket.variants import compose

NOBODY: frozenset[str] = frozenset()


@pytest.fixture
def plan(shapes_root: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> TowerPlan:
    """A run of a small judge with three things, in the test's own work folder."""
    (tmp_path / "dataset").symlink_to(shapes_root / "dataset")
    monkeypatch.setattr(judging, "WIDTHS", (8, 12, 16, 24))
    # Six drawings are too few to estimate the covariance of a hundred features.
    monkeypatch.setattr(judging, "SETTLING_TURNS", 20)
    return TowerPlan(tmp_path, "judge", samples=1600, batch=16, rate=8e-3)


def plain(shapes: DataSet, index: int, background: str = "white") -> Rgb:
    rng = np.random.default_rng(0)
    return compose(shapes.images[index], 64, background, rng, moved=False, flip=False)


def test_a_judge_separates_known_from_unknown_concepts(plan: TowerPlan, shapes: DataSet) -> None:
    judge = train_judge(plan, frozenset({"red disc"}))
    assert judge is not None
    assert judge.names == ("red disc", "blue square", "green triangle")
    pictures = [plain(shapes, row.index, "yellow") for row in shapes.rows]
    verdicts = judge.ask(pictures, [[row.name] for row in shapes.rows])
    assert [verdict.likeliest[0] for verdict in verdicts] == [row.name for row in shapes.rows]
    assert {verdict.rank for verdict in verdicts} == {1}
    wrong = judge.ask(pictures[:1], [["blue square"]])[0]
    assert wrong.rank > 1
    # Any of the requested things is right.
    assert judge.ask(pictures[:1], [["blue square", "red disc"]])[0].rank == 1


def test_a_saved_judge_is_read_back_unchanged(plan: TowerPlan, shapes: DataSet) -> None:
    trained = train_judge(replace(plan, samples=32), NOBODY)
    assert trained is not None
    pictures, asked = [plain(shapes, 0)], [["green triangle"]]
    assert Judge.open(plan.root / "judge").ask(pictures, asked) == trained.ask(pictures, asked)


def test_pictures_of_any_size_are_judged(plan: TowerPlan) -> None:
    judge = train_judge(replace(plan, samples=32), NOBODY)
    assert judge is not None
    verdict = judge.ask([np.full((128, 96, 3), 200, np.uint8)], [["red disc"]])[0]
    assert len(verdict.likeliest) == 3


def test_an_interrupted_training_leaves_no_judge_and_can_be_resumed(plan: TowerPlan) -> None:
    # The rate and the size of the pictures depend on the progress of the run, not on the session.
    assert train_judge(replace(plan, samples=64, minutes=0), NOBODY) is None
    with pytest.raises(PocketError, match="holds no judge"):
        Judge.open(plan.root / "judge")
    assert train_judge(replace(plan, samples=64), NOBODY) is not None


def test_a_run_in_two_sessions_equals_an_uninterrupted_one(
    plan: TowerPlan, monkeypatch: pytest.MonkeyPatch
) -> None:
    def weights() -> dict[str, object]:
        return dict(load_file(plan.root / "judge" / "judge.safetensors"))

    train_judge(replace(plan, name="straight", samples=96), NOBODY)
    straight = weights()
    clock = iter(range(100))
    with monkeypatch.context() as patched:
        # Every reading of the clock is a minute later, so the first session ends in the middle of the run.
        patched.setattr("inference.pocket.tower_training.time.monotonic", lambda: 60.0 * next(clock))
        assert train_judge(replace(plan, name="parts", samples=96, minutes=9), NOBODY) is None
    assert (plan.root / "runs" / "parts" / "state.safetensors").exists()
    train_judge(replace(plan, name="parts", samples=96), NOBODY)
    for name, value in weights().items():
        assert np.array_equal(np.asarray(value), np.asarray(straight[name])), name


def test_a_checkpoint_of_a_judge_with_other_emphasized_things_is_refused(plan: TowerPlan) -> None:
    train_judge(replace(plan, samples=16), NOBODY)
    with pytest.raises(PocketError, match="other settings"):
        train_judge(replace(plan, samples=16), frozenset({"red disc"}))


def test_a_broken_judge_is_refused_with_its_folder(tmp_path: Path) -> None:
    (tmp_path / "names.json").write_text('["red disc"]')
    (tmp_path / "judge.safetensors").write_bytes(b"not weights")
    with pytest.raises(PocketError, match="holds no judge"):
        Judge.open(tmp_path)
