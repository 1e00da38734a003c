"""The model folder: permitted files, name, and revision. Reads JSON only: no torch, no weights."""

from __future__ import annotations

import hashlib
import json
import math
import re
import struct
import threading
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from inference.errors import StartError

# Formats that can run code when they are read (pickle), or that can hide it.
UNSAFE_SUFFIXES = frozenset(
    {".bin", ".ckpt", ".pt", ".pth", ".pkl", ".pickle", ".joblib", ".npy", ".npz", ".h5", ".msgpack"}
)
CODE_SUFFIXES = frozenset({".py", ".pyc", ".so"})
SAFE_LIBRARIES = frozenset({"diffusers", "transformers"})
NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]{0,63}")
REFINER = "refiner"
# The format's own limit for its header (the safetensors crate).
MAX_HEADER_BYTES = 100_000_000


@dataclass(frozen=True)
class WeightCounts:
    """The number of parameters in all weights, and in the largest part."""

    all: int
    largest_part: int


@dataclass(frozen=True)
class ModelFolder:
    """A folder that passed inspection. `components` maps each part to (library, class).

    `settings` belong to the pipeline itself, not to its parts; `refiner` is the pipeline in the subfolder of that name.
    """

    path: Path
    name: str
    pipeline_class: str
    components: dict[str, tuple[str, str]]
    card: dict[str, Any]
    settings: dict[str, Any]
    refiner: ModelFolder | None = None

    def config(self, component: str) -> dict[str, Any]:
        """Return the configuration of one part. Raises `StartError` when it is missing or not JSON."""
        file_name = "scheduler_config.json" if component == "scheduler" else "config.json"
        return _read_json(self.path / component / file_name)

    def weights_bytes(self) -> int:
        """Return the size of all weights on disk, including the refiner's."""
        own = sum(file.stat().st_size for part in self.components for file in self.weights(part))
        return own + (self.refiner.weights_bytes() if self.refiner is not None else 0)

    def weights(self, component: str) -> list[Path]:
        """Return the weight files of one part."""
        return sorted((self.path / component).glob("*.safetensors"))

    def count_numbers(self, component: str) -> int:
        """Return the number of parameters of one part. Raises `StartError` when a file is truncated."""
        return sum(
            math.prod(tensor["shape"])
            for file in self.weights(component)
            for tensor in read_header(file).values()
        )

    def count_weights(self) -> WeightCounts:
        """Return the number of parameters of all weights, including the refiner's; raises like `count_numbers`."""
        counts = [self.count_numbers(part) for part in self.components]
        if self.refiner is not None:
            counts += [self.refiner.count_numbers(part) for part in self.refiner.components]
        return WeightCounts(all=sum(counts), largest_part=max(counts))

    def revision(self) -> str:
        """Return 12 hex digits of SHA-256 over every file that the pipeline is loaded from; reads all weights."""
        digest = hashlib.sha256()
        for file in sorted(self._files(), key=lambda f: f.relative_to(self.path).as_posix()):
            digest.update(f"{file.relative_to(self.path).as_posix()}\0{file.stat().st_size}\0".encode())
            with file.open("rb") as stream:
                while block := stream.read(1 << 20):
                    digest.update(block)
        return digest.hexdigest()[:12]

    def _files(self) -> list[Path]:
        files = [self.path / "model_index.json"]
        for component in self.components:
            files += [f for f in (self.path / component).rglob("*") if f.is_file()]
        return files + (self.refiner._files() if self.refiner is not None else [])


class Revision:
    """A folder's revision, computed in a thread that starts at construction."""

    def __init__(self, folder: ModelFolder) -> None:
        self._folder = folder
        self._found: str | None = None
        self._problem = "unknown"
        self._thread = threading.Thread(target=self._read, name="revision", daemon=True)
        self._thread.start()

    def _read(self) -> None:
        try:
            self._found = self._folder.revision()
        except OSError as exc:
            self._problem = f"{exc.filename}: {exc.strerror}"

    def wait(self) -> str:
        """Return the revision. Raises `StartError` when a file could not be read completely."""
        self._thread.join()
        if self._found is None:
            raise StartError(f"{self._folder.path}: the files could not be read to the end: {self._problem}.")
        return self._found


def read_header(file: Path) -> dict[str, dict[str, Any]]:
    """Return name -> dtype, shape, and position of every tensor in a safetensors file; reads its header only.

    Raises `StartError` naming the file when it is truncated or not a safetensors file.
    """
    size_bytes = file.stat().st_size
    with file.open("rb") as stream:
        start = stream.read(8)
        length = struct.unpack("<Q", start)[0] if len(start) == 8 else -1
        if not 0 < length <= min(MAX_HEADER_BYTES, size_bytes - 8):
            raise StartError(f"{file}: this is no safetensors file, or it is cut off: copy it again.")
        try:
            header = json.loads(stream.read(length))
            tensors = {name: entry for name, entry in header.items() if name != "__metadata__"}
            end = 8 + length + max((entry["data_offsets"][1] for entry in tensors.values()), default=0)
            shapes = [entry["shape"] for entry in tensors.values()]
        except (ValueError, KeyError, TypeError, AttributeError, IndexError, RecursionError):
            raise StartError(f"{file}: its header is broken: this is no safetensors file.") from None
    if end != size_bytes or not all(isinstance(shape, list) for shape in shapes):
        raise StartError(f"{file}: it is cut off: {size_bytes} bytes of {end}. Copy it again.")
    return tensors


def inspect_folder(path: Path) -> ModelFolder:
    """Return the model folder at `path`. Raises `StartError` naming the file when it is unsafe or incomplete."""
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
        # Also read the others: the libraries report parse errors without the name of the file.
        content = _read_json(file) if file.name.endswith("config.json") else _parse_json(file)
        if file.name.endswith("config.json") and "auto_map" in content:
            raise StartError(f"{file}: `auto_map` asks for remote code; remove it or choose another model.")
    card_path = path / "model_card.json"
    card = _read_json(card_path) if card_path.exists() else {}
    return ModelFolder(
        path=path,
        name=_name(path, card),
        pipeline_class=pipeline_class,
        components=components,
        card=card,
        settings={n: v for n, v in index.items() if not n.startswith("_") and not isinstance(v, list)},
        refiner=inspect_folder(path / REFINER) if (path / REFINER).is_dir() else None,
    )


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
    # The name of `.../pocket/weights` is pocket.
    return resolved.parent.name if resolved.name == "weights" else resolved.name


def _read_json(path: Path) -> dict[str, Any]:
    value = _parse_json(path)
    if not isinstance(value, dict):
        raise StartError(f"{path} must hold one JSON object.")
    return value


def _parse_json(path: Path) -> Any:
    try:
        return json.loads(path.read_bytes())
    except FileNotFoundError:
        raise StartError(f"{path} is not there: this is not a complete diffusers model folder.") from None
    except (OSError, ValueError, RecursionError) as exc:
        raise StartError(f"{path} cannot be read as JSON: {exc}") from None
