"""The measuring itself: turns, rounds that are kept, ratios and verdicts."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from bench import in_process
from bench.drawing import request, requests
from bench.first_picture import measure
from bench.pairs import Comparison, Plan, alternate, compare, print_comparisons
from bench.processes import Worker, environment, levels_apart
from bench.table import describe_machine


class Contestant:
    """Notes its turns in a list that all of them share."""

    def __init__(self, name: str, turns: list[tuple[str, int]], fails_at: int = -1) -> None:
        self._name, self._turns, self._fails_at = name, turns, fails_at

    def __call__(self, number: int) -> float:
        if number == self._fails_at:
            raise RuntimeError("interrupted")
        self._turns.append((self._name, number))
        return float(number)


def test_contestants_take_turns_after_a_round_that_does_not_count(tmp_path: Path) -> None:
    turns: list[tuple[str, int]] = []
    contestants = {name: Contestant(name, turns) for name in "ab"}

    rounds = alternate("x", contestants, Plan(2, tmp_path))

    assert turns == [("a", 0), ("b", 0), ("a", 1), ("b", 1), ("a", 2), ("b", 2)]
    assert rounds == [{"a": 1.0, "b": 1.0}, {"a": 2.0, "b": 2.0}]


def test_an_interrupted_run_resumes_after_its_last_complete_round(tmp_path: Path) -> None:
    with pytest.raises(RuntimeError, match="interrupted"):
        alternate("x", {"a": Contestant("a", []), "b": Contestant("b", [], fails_at=3)}, Plan(4, tmp_path))
    with (tmp_path / "x.jsonl").open("a") as file:
        file.write('{"a": 3')
    turns: list[tuple[str, int]] = []

    rounds = alternate("x", {name: Contestant(name, turns) for name in "ab"}, Plan(4, tmp_path, resume=True))

    assert [number for name, number in turns if name == "a"] == [0, 3, 4]
    assert [figures["b"] for figures in rounds] == [1, 2, 3, 4]
    assert [json.loads(line) for line in (tmp_path / "x.jsonl").read_text().splitlines()] == rounds


def test_without_resume_or_for_other_contestants_it_starts_over(tmp_path: Path) -> None:
    alternate("x", {"a": Contestant("a", [])}, Plan(2, tmp_path))
    for plan, names in ((Plan(1, tmp_path), "a"), (Plan(1, tmp_path, resume=True), "ab")):
        turns: list[tuple[str, int]] = []
        rounds = alternate("x", {name: Contestant(name, turns) for name in names}, plan)
        assert len(rounds) == 1
        assert turns[-1] == (names[-1], 1)


@pytest.mark.parametrize(
    ("aim", "target", "met"),
    [("at most", 1.5, "yes"), ("at most", 1.49, "NO"), ("at least", 1.5, "yes"), ("at least", 1.51, "NO")],
)
def test_the_median_of_the_ratios_decides(aim: str, target: float, met: str) -> None:
    # Ratios 1, 1.25, 1.5, 2, 9: one round that something else disturbed does not move the median.
    rounds = [{"a": ratio * base, "b": base} for ratio, base in ((1.5, 2), (1, 1), (9, 1), (1.25, 4), (2, 1))]

    row = compare(Comparison("a / b", "a", "b", aim, target), rounds)  # type: ignore[arg-type]

    assert row == ["a / b", "1.50", "1.25-2.00", f"{aim} {target:g}", met]


def test_a_comparison_without_a_target_has_no_verdict(capsys: pytest.CaptureFixture[str]) -> None:
    print_comparisons("Title", [Comparison("a / b", "a", "b")], [{"a": 1, "b": 2}])

    printed = capsys.readouterr().out
    assert "Title; 1 pairs" in printed
    assert "| a / b | 0.50   | 0.50-0.50 |" in printed
    assert "load average" in printed
    assert "cores, load average" in describe_machine()


def test_every_request_has_its_own_seed_and_prompt() -> None:
    wanted = [asked for number in range(3) for asked in requests(number, 24)]

    assert len({asked.seed for asked in wanted}) == len({asked.prompt for asked in wanted}) == len(wanted)
    assert request(7).payload()["width"] == 128


def test_contestants_have_the_same_threads_and_nothing_else(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("OMP_NUM_THREADS", "7")
    monkeypatch.setenv("INFERENCE_DTYPE", "bfloat16")

    assert environment(1)["OMP_NUM_THREADS"] == "1"
    assert "OMP_NUM_THREADS" not in environment(None)
    assert "INFERENCE_DTYPE" not in environment(1)


@pytest.mark.slow
@pytest.mark.timeout(400)
def test_encoding_is_measured_end_to_end(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    in_process.measure_encode(Plan(2, tmp_path), side_px=256)

    printed = capsys.readouterr().out
    assert "2 pairs" in printed
    rounds = [json.loads(line) for line in (tmp_path / "encode.jsonl").read_text().splitlines()]
    assert all(set(figures) == {"png6", "png1", "webp"} and min(figures.values()) > 0 for figures in rounds)


@pytest.mark.slow
@pytest.mark.timeout(400)
def test_the_first_picture_is_measured_end_to_end(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    measure(Plan(1, tmp_path))

    assert "server, with its output check / plain script" in capsys.readouterr().out


@pytest.mark.timeout(120)
def test_a_contestant_that_fails_is_named_with_its_log(tmp_path: Path) -> None:
    log = tmp_path / "worker.log"
    with pytest.raises(RuntimeError, match=r"worker\.log"):
        Worker(["no-such-kind"], log)

    assert "KeyError" in log.read_text()


def test_pictures_are_compared_by_their_largest_difference() -> None:
    import base64
    import io

    from PIL import Image

    def picture(level: int, side: int = 2) -> str:
        stream = io.BytesIO()
        image = Image.new("RGB", (side, side), (9, 9, 9))
        image.putpixel((1, 1), (9, level, 9))
        image.save(stream, "PNG")
        return base64.b64encode(stream.getvalue()).decode()

    assert levels_apart(picture(9), picture(9)) == 0
    assert levels_apart(picture(9), picture(14)) == 5
    with pytest.raises(RuntimeError, match="one picture is"):
        levels_apart(picture(9), picture(9, side=3))
