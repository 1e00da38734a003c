"""A recognized model folder: its family, limits, and LoRAs, found without loading it."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from inference.errors import StartError
from inference.pipelines.adapters import LoraFile, find_loras
from inference.pipelines.families import (
    FAMILIES,
    REFINER_CLASS,
    REFINER_PARTS,
    REFINER_SHARED,
    STABLE_DIFFUSION_XL,
    Family,
)
from inference.pipelines.family import ModelLimits
from inference.pipelines.folder import ModelFolder, inspect_folder
from inference.pipelines.limits import find_limits


@dataclass(frozen=True)
class FoundModel:
    """A folder that a known family can load, its limits, and its LoRAs."""

    folder: ModelFolder
    family: Family
    limits: ModelLimits
    loras: tuple[LoraFile, ...]


def find_model(path: Path, lora_dir: Path | None = None) -> tuple[FoundModel, ModelLimits]:
    """Return the model at `path` with its limits. Raises `StartError` when no known family can load it.

    LoRAs are searched in `lora_dir`, or in the folder's `loras/`.
    """
    folder = inspect_folder(path)
    index = folder.path / "model_index.json"
    family = FAMILIES.get(folder.pipeline_class)
    if family is None:
        raise StartError(
            f"{index}: `{folder.pipeline_class}` is not a family this server knows; these are: "
            f"{', '.join(FAMILIES)}."
        )
    _check_parts(folder, family.parts, family.optional)
    if folder.refiner is not None:
        _check_refiner(folder.refiner, family)
    loras = find_loras(folder.path, lora_dir)
    limits = find_limits(folder, family, frozenset(lora.name for lora in loras))
    return FoundModel(folder, family, limits, loras), limits


def _check_parts(
    folder: ModelFolder, parts: Mapping[str, frozenset[str]], optional: frozenset[str] | set[str]
) -> None:
    index = folder.path / "model_index.json"
    for part, classes in parts.items():
        if part in optional and part not in folder.components:
            continue
        found = folder.components.get(part, ("", "nothing"))[1]
        if found not in classes:
            raise StartError(f"{index}: `{part}` must be {' or '.join(sorted(classes))}, not {found}.")
        if part.startswith("tokenizer"):
            continue
        if not folder.weights(part):
            raise StartError(f"{folder.path / part} holds no .safetensors file: the weights are missing.")
        # Reads every header, so that a truncated file is reported now.
        folder.count_numbers(part)
    scheduler = folder.components.get("scheduler", ("", "nothing"))[1]
    if not scheduler.endswith("Scheduler"):
        raise StartError(f"{index}: `scheduler` must be a scheduler of diffusers, not {scheduler}.")
    extra = sorted(folder.components.keys() - parts.keys() - {"scheduler"})
    if extra:
        raise StartError(f"{index}: {', '.join(extra)} would not be run by this server; remove it.")


def _check_refiner(refiner: ModelFolder, family: Family) -> None:
    if family is not STABLE_DIFFUSION_XL:
        raise StartError(
            f"{refiner.path}: only {STABLE_DIFFUSION_XL.pipeline_class} has a refiner; remove this folder."
        )
    if refiner.pipeline_class != REFINER_CLASS:
        raise StartError(
            f"{refiner.path / 'model_index.json'}: a refiner is a {REFINER_CLASS}, not a {refiner.pipeline_class}."
        )
    _check_parts(refiner, REFINER_PARTS, set(REFINER_SHARED))
