"""LoRAs: small weight changes, one safetensors file each, mixed in per request."""

from __future__ import annotations

import re
import warnings
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from inference.contract import LoraReference
from inference.errors import StartError
from inference.pipelines.folder import read_header

LORA_FOLDER = "loras"
NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]{0,63}")
# diffusers and peft call a LoRA's matrices A and B; kohya's tools, and older diffusers, down and up.
LORA_KEY = re.compile(r"lora_(A|B|down|up)\b|lora_linear_layer|\.lora\.")


@dataclass(frozen=True)
class LoraFile:
    """One LoRA that requests can name."""

    name: str
    path: Path


def find_loras(model: Path, chosen: Path | None) -> tuple[LoraFile, ...]:
    """Return the LoRAs in `chosen`, or else in the model folder's `loras/`.

    Raises `StartError` naming a file that is not a safetensors LoRA. Reads headers only.
    """
    folder = chosen or model / LORA_FOLDER
    if not folder.is_dir():
        if chosen is not None:
            raise StartError(f"INFERENCE_LORA_DIR={chosen} is not a folder.")
        return ()
    found = []
    for file in sorted(folder.iterdir()):
        if file.name.startswith(".") or file.suffix in (".md", ".txt", ".json"):
            continue
        if file.suffix != ".safetensors" or not file.is_file():
            raise StartError(f"{file}: LoRAs are read from .safetensors files only; remove or convert it.")
        if not NAME.fullmatch(file.stem):
            raise StartError(f"{file}: a LoRA's name must be up to 64 letters, digits, '.', '_' and '-'.")
        if not any(LORA_KEY.search(key) for key in read_header(file)):
            raise StartError(f"{file}: this is not a LoRA: no tensor in it is named like one.")
        found.append(LoraFile(file.stem, file))
    return tuple(found)


class Adapters:
    """The LoRAs loaded into one pipeline, and the ones currently mixed in."""

    def __init__(self, pipe: Any, files: Sequence[LoraFile]) -> None:
        self._pipe = pipe
        self._numbers = {file.name: f"lora_{i}" for i, file in enumerate(files)}
        for file in files:
            self._load(file)
        self._mixed: tuple[LoraReference, ...] | None = None
        if files:
            self.mix(())

    def mix(self, loras: Sequence[LoraReference]) -> None:
        """Mix in exactly `loras`; earlier ones are removed."""
        if not self._numbers or self._mixed == tuple(loras):
            return
        # Unknown until the end, so that a partial failure does not count as success.
        self._mixed = None
        if loras:
            self._pipe.enable_lora()
            self._pipe.set_adapters(
                [self._numbers[lora.name] for lora in loras], [lora.scale for lora in loras]
            )
        else:
            self._pipe.disable_lora()
        self._mixed = tuple(loras)

    def _load(self, file: LoraFile) -> None:
        # Adapter names cannot contain dots, so numbers are used.
        number = self._numbers[file.name]
        try:
            with warnings.catch_warnings():
                # Several at once are intended.
                warnings.filterwarnings("ignore", message="Already found a `peft_config` attribute")
                self._pipe.load_lora_weights(
                    str(file.path.parent),
                    weight_name=file.path.name,
                    adapter_name=number,
                    local_files_only=True,
                    use_safetensors=True,
                )
        except (OSError, ValueError, RuntimeError, KeyError, TypeError, AttributeError, IndexError) as exc:
            raise StartError(f"{file.path}: this LoRA does not fit the model: {_first_line(exc)}") from exc
        loaded = self._pipe.get_list_adapters()
        if not any(number in names for names in loaded.values()):
            raise StartError(
                f"{file.path}: this LoRA does not fit the model: no part of it is changed by it."
            )


def _first_line(exc: Exception) -> str:
    # torch lists every mismatched tensor.
    lines = [line.strip() for line in str(exc).splitlines() if line.strip()]
    return " ".join(lines[:2])[:300] or type(exc).__name__
