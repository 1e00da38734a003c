"""Measures a pipeline folder on the fixed prompts: what is recognised, which colours come out, how long it takes."""

from __future__ import annotations

import time
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from inference.pocket.colours import Rgb
from inference.pocket.dataset import load_dataset
from inference.pocket.errors import PocketError
from inference.pocket.judge import Judge, Verdict, background_name, thing_tint
from inference.pocket.parts import folder_bytes, open_pipeline
from inference.pocket.prompts import QUESTIONS, Question
from inference.pocket.sheets import FIRST_SEED, draw, save_sheet

# Drawn by other hands than what the model was shown: "glossy" is "3d" with less light.
CHECKED_STYLE = "noto"
SHEET_COLUMNS = 8
TIMED_SIDES_PX = (64, 96, 128)
TIMED_STEPS = (10, 20, 35)


@dataclass(frozen=True)
class Finding:
    """What one picture turned out to be."""

    question: Question
    verdict: Verdict | None
    colour: str | None
    background: str

    @property
    def colour_is_right(self) -> bool | None:
        """Whether the colour asked for dominates; None when none was asked for."""
        return None if self.question.colour is None else self.colour == self.question.colour

    @property
    def background_is_right(self) -> bool:
        """Whether the thing stands on the colour asked for, or on white when none was."""
        return self.background == (self.question.background or "white")


def evaluate(root: Path, weights: Path, *, seeds: int, steps: int, guidance: float) -> None:
    """Draw every fixed prompt `seeds` times, print the tables, write `<root>/evaluation.png`.

    Without a data set under `root` nothing can be recognised, and the table says so; colours and times need none.
    Raises `PocketError` when there are no weights.
    """
    if not (weights / "model_index.json").exists():
        raise PocketError(f"{weights} is not a pipeline folder.")
    pipe = open_pipeline(weights)
    judge = _judge(root)
    prompts = [question.prompt for question in QUESTIONS]
    pictures: list[Rgb] = []
    findings: list[Finding] = []
    started = time.perf_counter()
    for turn in range(seeds):
        drawn = draw(pipe, prompts, first_seed=FIRST_SEED + 1000 * turn, steps=steps, guidance=guidance)
        pictures += drawn
        findings += [
            look(question, picture, judge) for question, picture in zip(QUESTIONS, drawn, strict=True)
        ]
    elapsed_s = time.perf_counter() - started
    sheet = root / "evaluation.png"
    save_sheet(pictures, SHEET_COLUMNS, sheet)
    print(
        f"{weights}: {folder_bytes(weights) / 1e6:.1f} MB; {steps} steps, guidance {guidance}; sheet: {sheet}\n"
    )
    _print_findings(findings)
    _print_summary(findings, judge)
    print(f"drawing {len(pictures)} pictures in batches and looking at them: {elapsed_s:.0f} s\n")
    _print_times(pipe)


def look(question: Question, picture: Rgb, judge: Judge | None) -> Finding:
    """Return what a picture drawn for a question shows."""
    verdict = None
    if judge is not None:
        # A colour that the thing never has would count against the right form.
        verdict = judge.ask(
            picture,
            question.thing,
            background=question.background or "white",
            by_colour=not question.unseen,
        )
    return Finding(question, verdict, thing_tint(picture).colour, background_name(picture))


def _judge(root: Path) -> Judge | None:
    try:
        dataset = load_dataset(root)
    except PocketError as exc:
        print(f"Nothing will be recognised: {exc}\n")
        return None
    return Judge(dataset, list(dataset.rows))


def _print_findings(findings: list[Finding]) -> None:
    print(f"{'prompt':42} {'rank':>5}  {'looks most like':28} {'colour':8} {'background':10}")
    for finding in findings:
        rank = "-" if finding.verdict is None else str(finding.verdict.rank)
        first = "-" if finding.verdict is None else finding.verdict.likeliest[0]
        colour = (finding.colour or "-") + ("" if finding.colour_is_right in (None, True) else " (!)")
        background = finding.background + ("" if finding.background_is_right else " (!)")
        print(f"{finding.question.prompt:42} {rank:>5}  {first[:28]:28} {colour:8} {background:10}")
    print()


def _print_summary(findings: list[Finding], judge: Judge | None) -> None:
    for label, unseen in (("seen in training", False), ("colour never seen on the thing", True)):
        some = [f for f in findings if f.question.unseen == unseen]
        if not some:
            continue
        ranks = np.array([f.verdict.rank for f in some if f.verdict is not None])
        if len(ranks):
            print(
                f"{label}: {len(some)} pictures, recognised {_share(ranks == 1)} first, {_share(ranks <= 5)} in five"
            )
        colours = np.array([f.colour_is_right for f in some if f.colour_is_right is not None])
        grounds = np.array([f.background_is_right for f in some])
        print(f"{label}: colour right {_share(colours)}, background right {_share(grounds)}")
    if judge is not None:
        first, five = judge.accuracy(CHECKED_STYLE)
        print(
            f"the judge itself, on the {CHECKED_STYLE} originals with that style taken out: "
            f"{first:.0%} first, {five:.0%} in five"
        )


def _share(values: Any) -> str:
    return f"{np.mean(values):.0%}" if len(values) else "-"


def _print_times(pipe: Any) -> None:
    print("seconds a picture, one at a time: " + ", ".join(f"{steps} steps" for steps in TIMED_STEPS))
    for side_px in TIMED_SIDES_PX:
        times = []
        for steps in TIMED_STEPS:
            started = time.perf_counter()
            draw(pipe, ["a red apple"], steps=steps, side_px=side_px)
            times.append(f"{time.perf_counter() - started:.2f}")
        print(f"  {side_px} x {side_px} px: {', '.join(times)}")
