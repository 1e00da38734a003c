"""Pocket's command line: `python -m inference.pocket data | autoencoder | clip | diffusion | judge | evaluate ...`."""

from __future__ import annotations

import argparse
import os
import sys
from pathlib import Path

from inference.pocket.commands import add_looking
from inference.pocket.errors import PocketError
from inference.pocket.folders import WEIGHTS, work_root


def main(arguments: list[str] | None = None) -> int:
    """Run one command. Returns the exit code: 0, or 2 after printing to stderr what to do."""
    options = _parser().parse_args(arguments)
    # On import, the libraries log every optional package that is not installed.
    os.environ.setdefault("TRANSFORMERS_VERBOSITY", "error")
    # The commands import torch, which takes seconds and is not needed for --help.
    try:
        options.run(options)
    except PocketError as exc:
        print(f"pocket: {exc}", file=sys.stderr)
        return 2
    return 0


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="python -m inference.pocket", description=__doc__)
    parser.add_argument("--root", help="work folder (default: $POCKET_ROOT, else build/pocket)")
    commands = parser.add_subparsers(required=True, metavar="COMMAND")

    data = commands.add_parser("data", help="fetch the icon packages, verify them, draw the data set")
    data.set_defaults(run=_data)

    autoencoder = commands.add_parser("autoencoder", help="train an autoencoder on all drawings")
    autoencoder.add_argument("--name", default="autoencoder")
    autoencoder.add_argument("--start", type=Path, help="an autoencoder's folder to go on from")
    autoencoder.add_argument(
        "--enlarge", type=Path, help="an autoencoder's folder: train one of twice the side on its latents"
    )
    autoencoder.add_argument("--latent-channels", type=int, default=4)
    autoencoder.add_argument("--downscale", type=int, default=4, choices=(4, 8))
    autoencoder.add_argument("--samples", type=int, default=90_000)
    autoencoder.add_argument("--minutes", type=float, default=600.0, help="end this sitting after so long")
    autoencoder.add_argument("--batch", type=int, default=16)
    autoencoder.add_argument("--rate", type=float, default=1.5e-3)
    autoencoder.add_argument("--seed", type=int, default=0)
    autoencoder.set_defaults(run=_autoencoder)

    diffusion = commands.add_parser("diffusion", help="train the drawing; run it again to go on")
    diffusion.add_argument("--name", default="pocket", help="the run's name: a folder under runs/")
    diffusion.add_argument("--start", type=Path, default=WEIGHTS, help="the pipeline folder to start from")
    diffusion.add_argument("--autoencoder", type=Path, help="use this one, with a UNet from nothing")
    diffusion.add_argument("--selection", default="everyday", help="see selection.toml; or `everything`")
    diffusion.add_argument(
        "--samples", type=int, default=100_000, help="the run's length, all sittings together"
    )
    diffusion.add_argument("--minutes", type=float, default=600.0, help="end this sitting after so long")
    diffusion.add_argument("--batch", type=int, default=32, help="pictures a step and rank")
    diffusion.add_argument("--rate", type=float, default=1e-3)
    diffusion.add_argument(
        "--decay", type=float, default=0.35, help="the part of the run over which the rate falls"
    )
    diffusion.add_argument("--seed", type=int, default=0)
    diffusion.add_argument("--ranks", type=int, default=1, help="processes of one thread each")
    diffusion.add_argument("--save-every-minutes", type=float, default=8.0)
    diffusion.set_defaults(run=_diffusion)

    add_looking(commands)

    release = commands.add_parser("release", help="put a run's pipeline in the place of the shipped weights")
    release.add_argument("--name", default="pocket", help="the run whose pipeline it is")
    release.add_argument("--selection", default="everyday", help="what the run was trained on")
    release.add_argument("--autoencoder", type=Path, help="put this one in; it must speak the same latents")
    release.set_defaults(run=_release)
    return parser


def _data(options: argparse.Namespace) -> None:
    from inference.pocket.dataset import build_dataset

    build_dataset(work_root(options.root), lambda line: print(line, flush=True))


def _autoencoder(options: argparse.Namespace) -> None:
    if options.enlarge is not None:
        _enlarge(options)
        return
    from inference.pocket.autoencoder import AutoencoderPlan, train_autoencoder

    train_autoencoder(
        AutoencoderPlan(
            root=work_root(options.root),
            name=options.name,
            start=options.start,
            latent_channels=options.latent_channels,
            downscale=options.downscale,
            samples=options.samples,
            minutes=options.minutes,
            batch=options.batch,
            rate=options.rate,
            seed=options.seed,
        )
    )


def _enlarge(options: argparse.Namespace) -> None:
    from inference.pocket.enlarge import EnlargePlan, train_enlarged

    train_enlarged(
        EnlargePlan(
            root=work_root(options.root),
            name=options.name,
            like=options.enlarge,
            samples=options.samples,
            minutes=options.minutes,
            batch=options.batch,
            rate=options.rate,
            seed=options.seed,
        )
    )


def _diffusion(options: argparse.Namespace) -> None:
    from inference.pocket.diffusion import DiffusionPlan, train_diffusion

    train_diffusion(
        DiffusionPlan(
            root=work_root(options.root),
            name=options.name,
            start=options.start,
            autoencoder=options.autoencoder,
            selection=options.selection,
            samples=options.samples,
            minutes=options.minutes,
            batch=options.batch,
            rate=options.rate,
            decay=options.decay,
            seed=options.seed,
            ranks=options.ranks,
            save_every_minutes=options.save_every_minutes,
        )
    )


def _release(options: argparse.Namespace) -> None:
    from inference.pocket.clip_known import write_known
    from inference.pocket.dataset import load_dataset
    from inference.pocket.parts import load_autoencoder, load_parts, save_pipeline
    from inference.pocket.selection import select

    root = work_root(options.root)
    pipeline = root / "runs" / options.name / "pipeline"
    parts = load_parts(pipeline)
    names = sorted({row.name for row in select(load_dataset(root), options.selection).rows})
    if options.autoencoder is not None:
        parts.autoencoder = load_autoencoder(options.autoencoder)
    save_pipeline(parts, WEIGHTS)
    found = write_known(WEIGHTS, names)
    print(
        f"{pipeline} -> {WEIGHTS}; {len(names)} things; a prompt is far below a likeness of {found.far_below:.3f}: "
        f"{found.false_alarms:.0%} false alarms of {found.near}, {found.misses:.0%} misses of {found.far}"
    )


if __name__ == "__main__":
    sys.exit(main())
