"""Tests of evaluation: the fixed prompts, the real pictures that match them, and the tables."""

from __future__ import annotations

import tomllib
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from inference.pocket import evaluate, judge
from inference.pocket.__main__ import main
from inference.pocket.colours import HUES, PALETTE
from inference.pocket.dataset import DataSet
from inference.pocket.evaluate import Finding, look, print_groups, some_questions
from inference.pocket.evaluate_real import real_pictures, sharpness
from inference.pocket.folders import HERE
from inference.pocket.judge import Verdict, train_judge
from inference.pocket.prompts import COMPOSITION, GROUPS, PARAPHRASE, QUESTIONS, SEEN, SHEET_PROMPTS, Question
from inference.pocket.tower_training import TowerPlan
from inference.pocket.variants import held_out_colour
from tests.inference.tiny_model import make_tiny_model

# Raised in diffusers' schedulers with numpy 2.
pytestmark = pytest.mark.filterwarnings("ignore:__array__ implementation:DeprecationWarning")

DISC = Question(SEEN, "a red disc", ("red disc",), colour="red")


def test_there_are_two_hundred_different_prompts_in_three_groups() -> None:
    assert len({question.prompt for question in QUESTIONS}) == len(QUESTIONS) >= 200
    for group in GROUPS:
        assert sum(question.group == group for question in QUESTIONS) >= 60
    assert (
        {"a red apple", "a rocket", "a grinning cat"} <= set(SHEET_PROMPTS) <= {q.prompt for q in QUESTIONS}
    )


def test_prompts_use_only_concepts_of_the_shipped_weights() -> None:
    selection = tomllib.loads((HERE / "selection.toml").read_text(encoding="utf-8"))["everyday"]
    for question in QUESTIONS:
        assert set(question.things) <= set(selection["names"]), question.prompt
        assert question.style in (None, *selection["styles"])
    asked = {thing for q in QUESTIONS if q.group == PARAPHRASE for thing in q.things}
    assert len(asked) >= 70


def test_prompts_ask_only_for_named_colors() -> None:
    for question in QUESTIONS:
        assert question.colour in (None, *HUES)
        assert question.background in (None, *PALETTE)
        for asked in (question.colour, question.background, question.style):
            assert asked is None or asked in question.prompt


def test_compositions_ask_for_the_held_out_color() -> None:
    for question in QUESTIONS:
        if question.group == COMPOSITION:
            assert question.colour == held_out_colour(question.things[0]), question.prompt


def test_a_real_picture_matches_its_prompt(shapes: DataSet) -> None:
    questions = [
        DISC,
        Question(COMPOSITION, "a green disc on blue", ("red disc",), colour="green", background="blue"),
        Question(SEEN, "blue square, flat style", ("blue square",), style="flat"),
    ]
    findings = look(questions, real_pictures(shapes, questions, 64, seed=0), None)
    assert [finding.colour for finding in findings] == ["red", "green", "blue"]
    assert [finding.background for finding in findings] == ["white", "blue", "white"]
    assert findings[0].colour_is_right
    assert findings[1].background_is_right


def test_blur_lowers_sharpness(shapes: DataSet) -> None:
    picture = real_pictures(shapes, [DISC], 64, seed=0)[0]
    soft = (picture.astype(np.float32) + np.roll(picture, 1, 0) + np.roll(picture, 1, 1)) / 3
    assert sharpness(soft.astype(np.uint8)) < 0.8 * sharpness(picture)


def test_a_group_is_printed_with_its_ceiling(capsys: pytest.CaptureFixture[str]) -> None:
    found = Finding(DISC, Verdict(("red disc",), 1), "red", "white", 20.0)
    missed = replace(found, verdict=Verdict(("blue square",), 9), background="blue")
    real_missed = replace(found, verdict=Verdict(("blue square",), 2), sharpness=40.0)
    print_groups([found, missed], [found, found, found, real_missed])
    line = capsys.readouterr().out
    assert "top-1 50% (ceiling 75%: 67% of it)" in line
    assert "top-5 50% (ceiling 100%: 50% of it)" in line
    assert "background 50%" in line
    assert "sharpness 0.80 of real" in line


def test_questions_can_be_limited_to_the_first_of_each_group() -> None:
    assert [question.group for question in some_questions(2)] == [g for g in GROUPS for _ in range(2)]


def evaluate_tiny(root: Path, *options: str) -> int:
    weights = make_tiny_model(root / "tiny")
    return main(["--root", str(root), "evaluate", "--weights", str(weights), "--steps", "2", *options])


def test_evaluate_prints_its_tables_and_writes_the_sheet_without_a_data_set(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert evaluate_tiny(tmp_path, "--limit", "1", "--seeds", "2") == 0
    printed = capsys.readouterr().out
    assert "Nothing will be recognised" in printed
    assert "seen            2 pictures | top-1 - | top-5 - | background" in printed
    assert "s a picture in batches" in printed
    for scheduler in ("ddim", "unipc", "dpmpp_2m"):
        assert f"{scheduler:9}  4 steps" in printed
    assert (tmp_path / "evaluation.png").exists()


def test_evaluate_prints_recognition_with_a_data_set_and_a_judge(
    shapes_root: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "dataset").symlink_to(shapes_root / "dataset")
    monkeypatch.setattr(judge, "WIDTHS", (8, 12, 16, 24))
    assert train_judge(TowerPlan(tmp_path, "judge", samples=32, batch=16), frozenset()) is not None
    monkeypatch.setattr(evaluate, "QUESTIONS", (DISC,))
    assert evaluate_tiny(tmp_path, "--no-few-steps") == 0
    printed = capsys.readouterr().out
    assert "ceiling" in printed
    assert "of real" in printed
    assert "steps: top-1" not in printed


def test_evaluating_with_another_scheduler_draws_other_pictures(tmp_path: Path) -> None:
    sheets = []
    for scheduler in ("ddim", "unipc"):
        assert (
            evaluate_tiny(
                tmp_path, "--limit", "1", "--scheduler", scheduler, "--steps", "5", "--no-few-steps"
            )
            == 0
        )
        sheets.append((tmp_path / "evaluation.png").read_bytes())
    assert sheets[0] != sheets[1]


def test_evaluate_needs_at_least_one_seed(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert evaluate_tiny(tmp_path, "--seeds", "0") == 2
    assert "at least 1" in capsys.readouterr().err
