"""The commands that examine pictures: `clip`, `judge`, and `evaluate`."""

from __future__ import annotations

import argparse
import shutil
from pathlib import Path

from inference.pocket.errors import PocketError
from inference.pocket.folders import CLIP_WEIGHTS, WEIGHTS, work_root

SCHEDULERS = ("ddim", "unipc", "dpmpp_2m", "euler", "euler_ancestral", "lcm")


def add_looking(commands: argparse._SubParsersAction[argparse.ArgumentParser]) -> None:
    """Add the three commands. Their imports run only when a command does."""
    clip = commands.add_parser("clip", help="train pocket-clip; run it again to go on; prints its figures")
    clip.add_argument("--name", default="clip", help="the run's name: a folder under runs/")
    clip.add_argument("--ship", action="store_true", help="put the result in the place of clip_weights/")
    clip.add_argument("--report-only", action="store_true", help="print the figures of clip_weights/")
    _training(clip, samples=120_000)
    clip.set_defaults(run=_clip)

    judge = commands.add_parser("judge", help="train the judge that `evaluate` asks; run it again to go on")
    judge.add_argument("--selection", default="everyday", help="what is shown more often: see selection.toml")
    _training(judge, samples=150_000)
    judge.set_defaults(run=_judge)

    evaluate = commands.add_parser(
        "evaluate", help="draw the fixed prompts, print the tables, write the sheet"
    )
    evaluate.add_argument("--weights", type=Path, default=WEIGHTS)
    evaluate.add_argument("--seeds", type=int, default=1, help="pictures for each prompt")
    evaluate.add_argument("--steps", type=int, default=20)
    evaluate.add_argument("--guidance", type=float, default=4.0)
    evaluate.add_argument("--scheduler", choices=SCHEDULERS, default="ddim")
    evaluate.add_argument("--limit", type=int, help="only the first prompts of each group")
    evaluate.add_argument(
        "--no-few-steps", action="store_true", help="leave out the rows of 4, 6 and 8 steps"
    )
    evaluate.add_argument("--threads", type=int, default=1, help="torch's threads")
    evaluate.set_defaults(run=_evaluate)


def _training(parser: argparse.ArgumentParser, samples: int) -> None:
    parser.add_argument(
        "--samples", type=int, default=samples, help="the run's length, all sittings together"
    )
    parser.add_argument("--minutes", type=float, default=600.0, help="end this sitting after so long")
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--threads", type=int, default=1, help="torch's threads")


def _clip(options: argparse.Namespace) -> None:
    import torch

    from inference.pocket.clip import PocketClip
    from inference.pocket.clip_fit import fit_clip
    from inference.pocket.clip_folder import write_clip
    from inference.pocket.clip_report import report_clip
    from inference.pocket.clip_training import train_clip
    from inference.pocket.dataset import load_dataset
    from inference.pocket.tower_training import TowerPlan

    torch.set_num_threads(options.threads)
    root = work_root(options.root)
    folder, dataset = CLIP_WEIGHTS, load_dataset(root)
    if not options.report_only:
        plan = TowerPlan(root, options.name, options.samples, options.minutes, seed=options.seed)
        learner, knowledge, ended = train_clip(plan)
        folder = plan.folder / "clip_weights"
        write_clip(learner, fit_clip(learner, knowledge, dataset, options.seed), knowledge, folder)
        print(f"{folder}: {'the end of the run' if ended else 'the run goes on when started again'}")
    for line in report_clip(PocketClip.open(folder), dataset):
        print(line, flush=True)
    if options.ship and not options.report_only:
        shutil.copytree(folder, CLIP_WEIGHTS, dirs_exist_ok=True)
        print(f"{folder} -> {CLIP_WEIGHTS}")


def _judge(options: argparse.Namespace) -> None:
    import torch

    from inference.pocket.dataset import load_dataset
    from inference.pocket.judge import train_judge
    from inference.pocket.selection import select
    from inference.pocket.tower_training import TowerPlan

    torch.set_num_threads(options.threads)
    root = work_root(options.root)
    asked = frozenset(row.name for row in select(load_dataset(root), options.selection).rows)
    plan = TowerPlan(root, "judge", options.samples, options.minutes, seed=options.seed)
    judge = train_judge(plan, asked)
    print(
        "the run goes on when started again"
        if judge is None
        else f"{root / 'judge'}: {len(judge.names)} names"
    )


def _evaluate(options: argparse.Namespace) -> None:
    import torch

    from inference.pocket.evaluate import Drawing, evaluate

    if options.seeds < 1 or (options.limit is not None and options.limit < 1):
        raise PocketError("--seeds and --limit must be at least 1.")
    torch.set_num_threads(options.threads)
    evaluate(
        work_root(options.root),
        Drawing(
            weights=options.weights,
            seeds=options.seeds,
            steps=options.steps,
            guidance=options.guidance,
            scheduler=options.scheduler,
            limit=options.limit,
            few_steps=not options.no_few_steps,
        ),
    )
