"""Tests of pocket's command line: what it prints, and its errors."""

from __future__ import annotations

from pathlib import Path

import pytest

from inference.pocket.__main__ import main

# Raised in diffusers' schedulers with numpy 2.
pytestmark = pytest.mark.filterwarnings("ignore:__array__ implementation:DeprecationWarning")


def test_training_without_a_data_set_names_the_command_that_builds_one(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["--root", str(tmp_path), "diffusion"]) == 2
    assert "`python -m inference.pocket data` builds it" in capsys.readouterr().err


def test_evaluating_a_folder_that_is_not_a_pipeline_fails(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["--root", str(tmp_path), "evaluate", "--weights", str(tmp_path)]) == 2
    assert "is not a pipeline folder" in capsys.readouterr().err


def test_releasing_a_missing_run_fails(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["--root", str(tmp_path), "release", "--name", "nothing"]) == 2
    assert "is not a pipeline folder" in capsys.readouterr().err


def test_the_work_folder_can_be_set_in_the_environment(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("POCKET_ROOT", str(tmp_path / "elsewhere"))
    assert main(["diffusion"]) == 2
    assert str(tmp_path / "elsewhere") in capsys.readouterr().err
