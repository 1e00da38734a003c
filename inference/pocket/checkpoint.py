"""Saves and loads the state that a run needs to resume: weights, their averages, and optimizer state, in one file."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from pathlib import Path

import torch
from safetensors import SafetensorError, safe_open
from safetensors.torch import save_file

from inference.pocket.errors import PocketError
from inference.pocket.optimisers import restore_state, state_tensors


@dataclass
class Progress:
    """How far a run has come, over all its sessions. `run` identifies the settings that must not change between
    them.
    """

    run: str
    step: int = 0
    samples: int = 0
    seconds: float = 0.0


def run_id(**facts: object) -> str:
    """Return 12 hex digits that identify the settings that must stay the same when a run is resumed."""
    return hashlib.sha256(json.dumps(facts, sort_keys=True, default=str).encode()).hexdigest()[:12]


def save_checkpoint(
    file: Path,
    module: torch.nn.Module,
    average: torch.nn.Module,
    optimisers: Sequence[torch.optim.Optimizer],
    progress: Progress,
) -> None:
    """Write everything to `file` in one atomic replacement: a run killed during it keeps the previous checkpoint."""
    tensors = {f"weights.{name}": value for name, value in module.state_dict().items()}
    tensors |= {f"average.{name}": value for name, value in average.state_dict().items()}
    tensors |= {f"optimiser.{name}": value for name, value in state_tensors(optimisers).items()}
    file.parent.mkdir(parents=True, exist_ok=True)
    partial = file.with_suffix(".partial")
    save_file(
        {name: value.detach().cpu().contiguous().clone() for name, value in tensors.items()},
        partial,
        metadata={"progress": json.dumps(asdict(progress))},
    )
    partial.replace(file)


def load_checkpoint(
    file: Path,
    module: torch.nn.Module,
    average: torch.nn.Module,
    optimisers: Sequence[torch.optim.Optimizer],
    run: str,
) -> Progress:
    """Load `file` into the module, its average, and the optimizers; returns a new `Progress` when there is no file.

    Raises `PocketError` when the file belongs to another run or cannot be read.
    """
    if not file.exists():
        return Progress(run)
    try:
        with safe_open(file, framework="pt") as stored:
            progress = Progress(**json.loads((stored.metadata() or {})["progress"]))
            tensors = {name: stored.get_tensor(name) for name in stored.keys()}  # noqa: SIM118
    except (SafetensorError, OSError, KeyError, TypeError, ValueError) as exc:
        raise PocketError(f"{file} is not a checkpoint: {exc}. Remove it to start again.") from exc
    if progress.run != run:
        raise PocketError(
            f"{file} is of a run with other settings (start weights, selection, size or seed). Give this run another "
            "name with --name, or the settings of that run."
        )
    module.load_state_dict(_under(tensors, "weights."))
    average.load_state_dict(_under(tensors, "average."))
    restore_state(optimisers, _under(tensors, "optimiser."))
    return progress


def _under(tensors: dict[str, torch.Tensor], prefix: str) -> dict[str, torch.Tensor]:
    return {name.removeprefix(prefix): value for name, value in tensors.items() if name.startswith(prefix)}
