"""The model folder: what may lie in it, its name, its revision. Reads JSON only: no torch, no weights."""

from __future__ import annotations

import hashlib
import json
import re
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from inference.errors import StartError

# Formats that run code when they are read (pickle), or that hide it.
UNSAFE_SUFFIXES = frozenset(
    {".bin", ".ckpt", ".pt", ".pth", ".pkl", ".pickle", ".joblib", ".npy", ".npz", ".h5", ".msgpack"}
)
CODE_SUFFIXES = frozenset({".py", ".pyc", ".so"})
SAFE_LIBRARIES = frozenset({"diffusers", "transformers"})
NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]{0,63}")


@dataclass(frozen=True)
class ModelFolder:
    """A folder that passed inspection. `components` maps each part to (library, class)."""

    path: Path
    name: str
    pipeline_class: str
    components: dict[str, tuple[str, str]]
    card: dict[str, Any]

    def config(self, component: str) -> dict[str, Any]:
        """Return the configuration of one part; raises `StartError` when it is absent or not JSON."""
        file_name = "scheduler_config.json" if component == "scheduler" else "config.json"
        return _read_json(self.path / component / file_name)

    def weights_bytes(self) -> int:
        """Return the size of all weights on disk."""
        return sum(file.stat().st_size for file in self.path.rglob("*.safetensors"))

    def revision(self) -> str:
        """Return 12 hex digits of SHA-256 over every file the pipeline is loaded from; reads all weights."""
        digest = hashlib.sha256()
        files = [self.path / "model_index.json"]
        for component in self.components:
            files += [f for f in (self.path / component).rglob("*") if f.is_file()]
        for file in sorted(files, key=lambda f: f.relative_to(self.path).as_posix()):
            digest.update(f"{file.relative_to(self.path).as_posix()}\0{file.stat().st_size}\0".encode())
            with file.open("rb") as stream:
                while block := stream.read(1 << 20):
                    digest.update(block)
        return digest.hexdigest()[:12]


def inspect_folder(path: Path) -> ModelFolder:
    """Return what lies at `path`; raises `StartError` naming the file when it is unsafe or incomplete."""
    if not path.is_dir():
        raise StartError(f"Model folder {path} is not there: set INFERENCE_MODEL_DIR to a diffusers folder.")
    _refuse_unsafe_files(path)
    index = _read_json(path / "model_index.json")
    pipeline_class = index.get("_class_name")
    if not isinstance(pipeline_class, str):
        raise StartError(
            f"{path / 'model_index.json'}: `_class_name` is {pipeline_class!r}, which would load code from the "
            "folder; only a class of diffusers itself may be named there."
        )
    components = {
        name: (entry[0], entry[1])
        for name, entry in index.items()
        if isinstance(entry, list) and len(entry) == 2 and entry != [None, None]
    }
    for name, (library, class_name) in components.items():
        if library not in SAFE_LIBRARIES or not isinstance(class_name, str):
            raise StartError(
                f"{path / 'model_index.json'}: `{name}` comes from {library!r}; only parts of "
                f"{' and '.join(sorted(SAFE_LIBRARIES))} are loaded, never code of the folder's own."
            )
        if not (path / name).is_dir():
            raise StartError(f"{path / name} is not there, though model_index.json lists `{name}`.")
    for file in sorted(path.rglob("*.json")):
        if file.name.endswith("config.json") and "auto_map" in _read_json(file):
            raise StartError(f"{file}: `auto_map` asks for remote code; remove it or choose another model.")
    card_path = path / "model_card.json"
    card = _read_json(card_path) if card_path.exists() else {}
    return ModelFolder(path, _name(path, card), pipeline_class, components, card)


def _refuse_unsafe_files(path: Path) -> None:
    for file in sorted(path.rglob("*")):
        suffix = file.suffix.lower()
        if suffix in UNSAFE_SUFFIXES:
            raise StartError(
                f"{file}: weights of this format can run code when they are read. Convert them to .safetensors "
                "and remove this file."
            )
        if suffix in CODE_SUFFIXES:
            raise StartError(f"{file}: a model folder must not hold code; remove this file.")


def _name(path: Path, card: dict[str, Any]) -> str:
    if "name" in card:
        name = card["name"]
        if not isinstance(name, str) or not NAME.fullmatch(name):
            raise StartError(f"{path / 'model_card.json'}: `name` must be letters, digits, '.', '_' and '-'.")
        return name
    resolved = path.resolve()
    # `.../pocket/weights` is pocket.
    return resolved.parent.name if resolved.name == "weights" else resolved.name


def _read_json(path: Path) -> dict[str, Any]:
    try:
        value = json.loads(path.read_bytes())
    except FileNotFoundError:
        raise StartError(f"{path} is not there: this is not a complete diffusers model folder.") from None
    except (OSError, ValueError) as exc:
        raise StartError(f"{path} cannot be read as JSON: {exc}") from None
    if not isinstance(value, dict):
        raise StartError(f"{path} must hold one JSON object.")
    return value
