"""Pocket's command line: what it prints, and what it says when it cannot go on."""

from __future__ import annotations

from pathlib import Path

import pytest

from inference.pocket import evaluate
from inference.pocket.__main__ import main
from inference.pocket.prompts import QUESTIONS
from tests.inference.tiny_model import make_tiny_model

# Inside diffusers' schedulers, with numpy 2.
pytestmark = pytest.mark.filterwarnings("ignore:__array__ implementation:DeprecationWarning")


def test_training_without_a_data_set_says_which_command_makes_one(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["--root", str(tmp_path), "diffusion"]) == 2
    assert "`python -m inference.pocket data` builds it" in capsys.readouterr().err


def test_evaluating_a_folder_that_is_no_pipeline_fails(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["--root", str(tmp_path), "evaluate", "--weights", str(tmp_path)]) == 2
    assert "is not a pipeline folder" in capsys.readouterr().err


def test_releasing_a_run_that_is_not_there_fails_and_leaves_the_weights(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["--root", str(tmp_path), "release", "--name", "nothing"]) == 2
    assert "is not a pipeline folder" in capsys.readouterr().err


def test_the_work_folder_can_be_named_in_the_environment(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("POCKET_ROOT", str(tmp_path / "elsewhere"))
    assert main(["diffusion"]) == 2
    assert str(tmp_path / "elsewhere") in capsys.readouterr().err


def test_evaluate_prints_its_tables_and_writes_the_sheet_without_a_data_set(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    weights = make_tiny_model(tmp_path / "tiny")
    monkeypatch.setattr(evaluate, "QUESTIONS", (QUESTIONS[0], QUESTIONS[-1]))
    monkeypatch.setattr(evaluate, "TIMED_SIDES_PX", (64,))
    assert (
        main(["--root", str(tmp_path), "evaluate", "--weights", str(weights), "--seeds", "1", "--steps", "2"])
        == 0
    )
    printed = capsys.readouterr().out
    assert "Nothing will be recognised" in printed
    assert "a red apple" in printed
    assert "seconds a picture" in printed
    assert (tmp_path / "evaluation.png").exists()


def test_evaluate_recognises_with_a_data_set(
    shapes_root: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    from dataclasses import replace

    (tmp_path / "dataset").symlink_to(shapes_root / "dataset")
    weights = make_tiny_model(tmp_path / "tiny")
    monkeypatch.setattr(evaluate, "QUESTIONS", (replace(QUESTIONS[0], thing="red disc"),))
    monkeypatch.setattr(evaluate, "TIMED_SIDES_PX", (64,))
    monkeypatch.setattr(evaluate, "CHECKED_STYLE", "flat")
    assert (
        main(["--root", str(tmp_path), "evaluate", "--weights", str(weights), "--seeds", "1", "--steps", "2"])
        == 0
    )
    assert (
        "the judge itself, on the flat originals with that style taken out: 100% first"
        in capsys.readouterr().out
    )
