"""Measures a pipeline folder on the fixed prompts: recognition, colors, sharpness, and time."""

from __future__ import annotations

import time
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np

from inference.contract import SchedulerName
from inference.pipelines.schedulers import build_scheduler
from inference.pocket.colours import Rgb
from inference.pocket.dataset import DataSet, load_dataset
from inference.pocket.errors import PocketError
from inference.pocket.evaluate_real import real_pictures, sharpness
from inference.pocket.judge import Judge, Verdict, background_name, thing_tint
from inference.pocket.parts import folder_bytes, open_pipeline
from inference.pocket.prompts import COMPOSITION, GROUPS, QUESTIONS, Question
from inference.pocket.sheets import FIRST_SEED, draw, save_sheet

SHEET_COLUMNS = 13
BATCH = 8
TIMED_PICTURES = 5
FEW_STEPS = (4, 6, 8)
FEW_STEP_SCHEDULERS: tuple[SchedulerName, ...] = ("ddim", "unipc", "dpmpp_2m")
# Every eleventh prompt covers all groups, with and without style and background.
FEW_STEP_EVERY = 11
REAL_SEED = 7


@dataclass(frozen=True)
class Drawing:
    """How pictures are drawn: `seeds` pictures for each of the first `limit` prompts of each group."""

    weights: Path
    seeds: int
    steps: int
    guidance: float
    scheduler: SchedulerName
    limit: int | None = None
    few_steps: bool = True


@dataclass(frozen=True)
class Finding:
    """The measurements of one picture; `verdict` is None without a judge."""

    question: Question
    verdict: Verdict | None
    colour: str | None
    background: str
    sharpness: float

    @property
    def colour_is_right(self) -> bool | None:
        """Whether the requested color dominates; None when the prompt names no color."""
        return None if self.question.colour is None else self.colour == self.question.colour

    @property
    def background_is_right(self) -> bool:
        """Whether the background has the requested color, or is white when none was requested."""
        return self.background == (self.question.background or "white")


def evaluate(root: Path, drawing: Drawing) -> None:
    """Draw the fixed prompts, print the tables, and write `<root>/evaluation.png`; about a second a picture.

    Without a data set or a judge under `root`, nothing can be recognized, and the table says so; colors and times need
    neither. Raises `PocketError` when there are no weights.
    """
    if not (drawing.weights / "model_index.json").exists():
        raise PocketError(f"{drawing.weights} is not a pipeline folder.")
    pipe = open_pipeline(drawing.weights)
    questions = some_questions(drawing.limit)
    dataset, judge = _references(root)
    pictures, elapsed_s = draw_questions(pipe, questions, drawing)
    asked = list(questions) * drawing.seeds
    findings = look(asked, pictures, judge)
    sheet = root / "evaluation.png"
    # One seed only: the sheet is for a person to look at.
    shown = [f"{f.question.prompt} [{f.verdict.likeliest[0] if f.verdict else '-'}]" for f in findings]
    save_sheet(pictures[: len(questions)], SHEET_COLUMNS, sheet, shown[: len(questions)])
    print(
        f"{drawing.weights}: {folder_bytes(drawing.weights) / 1e6:.1f} MB; {drawing.steps} steps of "
        f"{drawing.scheduler}, guidance {drawing.guidance}, {drawing.seeds} seeds; sheet: {sheet}\n"
    )
    print_findings(findings)
    real = None
    if dataset is not None:
        side_px = pictures[0].shape[0]
        real = look(questions, real_pictures(dataset, questions, side_px, REAL_SEED), judge)
    print_groups(findings, real)
    print(f"{elapsed_s / len(pictures):.2f} s a picture in batches of {BATCH}")
    _print_time(pipe, drawing)
    if drawing.few_steps:
        _print_few_steps(pipe, questions[::FEW_STEP_EVERY], drawing, judge)


def some_questions(limit: int | None) -> tuple[Question, ...]:
    """Return the fixed questions, or the first `limit` of each group."""
    if limit is None:
        return QUESTIONS
    return tuple(q for group in GROUPS for q in [q for q in QUESTIONS if q.group == group][:limit])


def draw_questions(pipe: Any, questions: Sequence[Question], drawing: Drawing) -> tuple[list[Rgb], float]:
    """Return the pictures, ordered by seed and then by prompt, and the total time in seconds."""
    before = pipe.scheduler
    pictures: list[Rgb] = []
    started = time.perf_counter()
    for turn in range(drawing.seeds):
        for start in range(0, len(questions), BATCH):
            # A new one each time: some schedulers keep state between pictures.
            pipe.scheduler = build_scheduler(drawing.scheduler, before.config)
            pictures += draw(
                pipe,
                [question.prompt for question in questions[start : start + BATCH]],
                first_seed=FIRST_SEED + 1000 * turn + start,
                steps=drawing.steps,
                guidance=drawing.guidance,
            )
    pipe.scheduler = before
    return pictures, time.perf_counter() - started


def look(questions: Sequence[Question], pictures: Sequence[Rgb], judge: Judge | None) -> list[Finding]:
    """Return the measurements of pictures drawn for questions."""
    verdicts: Sequence[Verdict | None] = [None] * len(pictures)
    if judge is not None:
        verdicts = judge.ask(pictures, [question.things for question in questions])
    return [
        Finding(question, verdict, thing_tint(picture).colour, background_name(picture), sharpness(picture))
        for question, picture, verdict in zip(questions, pictures, verdicts, strict=True)
    ]


def _references(root: Path) -> tuple[DataSet | None, Judge | None]:
    try:
        dataset = load_dataset(root)
        return dataset, Judge.open(root / "judge")
    except PocketError as exc:
        print(f"Nothing will be recognised: {exc}\n")
        return None, None


def print_findings(findings: Sequence[Finding]) -> None:
    """Print one line per picture; (!) marks a color or a background that does not match the prompt."""
    print(f"{'prompt':48} {'rank':>5}  {'looks most like':28} {'colour':10} {'background':10}")
    for finding in findings:
        rank = "-" if finding.verdict is None else str(finding.verdict.rank)
        first = "-" if finding.verdict is None else finding.verdict.likeliest[0]
        colour = (finding.colour or "-") + ("" if finding.colour_is_right in (None, True) else " (!)")
        background = finding.background + ("" if finding.background_is_right else " (!)")
        print(f"{finding.question.prompt[:48]:48} {rank:>5}  {first[:28]:28} {colour:10} {background:10}")
    print()


def print_groups(findings: Sequence[Finding], real: Sequence[Finding] | None) -> None:
    """Print one line per group; next to each share, the judge's ceiling on real pictures and the ratio of the two."""
    for group in GROUPS:
        some = [f for f in findings if f.question.group == group]
        if not some:
            continue
        other = [] if real is None else [f for f in real if f.question.group == group]
        line = f"{group:12} {len(some):4} pictures"
        for within in (1, 5):
            line += f" | top-{within} {_against(_recognised(some, within), _recognised(other, within))}"
        line += f" | background {_share([f.background_is_right for f in some])}"
        if group == COMPOSITION:
            line += f" | colour {_colours(some)} (real {_colours(other)})"
        if other:
            ratio = np.mean([f.sharpness for f in some]) / np.mean([f.sharpness for f in other])
            line += f" | sharpness {ratio:.2f} of real"
        print(line)
    print()


def _recognised(findings: Sequence[Finding], within: int) -> float | None:
    ranks = [f.verdict.rank <= within for f in findings if f.verdict is not None]
    return float(np.mean(ranks)) if ranks else None


def _against(found: float | None, ceiling: float | None) -> str:
    if found is None:
        return "-"
    if not ceiling:
        return f"{found:.0%}"
    return f"{found:.0%} (ceiling {ceiling:.0%}: {found / ceiling:.0%} of it)"


def _colours(findings: Sequence[Finding]) -> str:
    return _share([f.colour_is_right for f in findings if f.colour_is_right is not None])


def _share(values: Sequence[bool | None]) -> str:
    return f"{np.mean([bool(value) for value in values]):.0%}" if values else "-"


def _print_time(pipe: Any, drawing: Drawing) -> None:
    times = []
    for turn in range(TIMED_PICTURES):
        alone = replace(drawing, seeds=1)
        _, elapsed_s = draw_questions(pipe, QUESTIONS[turn : turn + 1], alone)
        times.append(elapsed_s)
    # The minimum is closest to the time on an otherwise idle machine.
    print(
        f"one at a time, {drawing.steps} steps: median {np.median(times):.2f} s, least {min(times):.2f} s, "
        f"of {TIMED_PICTURES}\n"
    )


def _print_few_steps(pipe: Any, questions: Sequence[Question], drawing: Drawing, judge: Judge | None) -> None:
    print(f"few steps, {len(questions)} of the prompts:")
    rows = [(drawing.scheduler, drawing.steps)]
    rows += [(scheduler, steps) for steps in FEW_STEPS for scheduler in FEW_STEP_SCHEDULERS]
    for scheduler, steps in rows:
        drawn = replace(drawing, scheduler=scheduler, steps=steps, seeds=1)
        pictures, elapsed_s = draw_questions(pipe, questions, drawn)
        findings = look(questions, pictures, judge)
        sharp = np.mean([f.sharpness for f in findings])
        first, five = (_against(_recognised(findings, within), None) for within in (1, 5))
        print(
            f"  {scheduler:9} {steps:2} steps: top-1 {first}, top-5 {five}, sharpness {sharp:.0f}, "
            f"{elapsed_s / len(pictures):.2f} s a picture in batches of {BATCH}"
        )
