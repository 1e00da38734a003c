"""Snapshots of the small services (queues, topics, buckets' settings): whole generations with checksums, the last two.

Tables and accounts are in base and journal (`durability.py`). What is lost between two snapshots is a message that was
waiting, and the worker finds its job without it.
"""

from __future__ import annotations

import hashlib
import json
import os
import re
import shutil
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

from local.cloud.tables import sync_folder

GENERATION = re.compile(r"g(\d+)")
MANIFEST = "manifest.sha256"
KEPT = 2
# In base and journal; a generation of an earlier version has them.
ELSEWHERE = ("dynamodb", "cognito")
Say = Callable[[str], None]


class SnapshotFailed(Exception):
    """A generation could not be written; the ones before it are untouched."""


class Snapshots:
    """A folder of generations `g<number>`; a generation is complete when its manifest is there and fits.

    MiniStack itself replaces one file per service, which after a kill may mix two moments: a message without its
    topic. Here all files of a moment count together, or not at all.
    """

    def __init__(self, folder: Path) -> None:
        self._folder = folder

    @property
    def current(self) -> Path:
        """The folder to read from; it does not exist before the first snapshot."""
        complete = next((entry for entry in self._generations() if _complete(entry)), None)
        return complete or self.legacy() or self._folder / "none"

    def prepare(self, say: Say) -> None:
        """Makes the folder, removes half-written generations, and says which complete ones are damaged."""
        self._folder.mkdir(parents=True, exist_ok=True, mode=0o700)
        current = self.current
        for generation in self._generations():
            if generation == current:
                break
            if (generation / MANIFEST).exists():
                instead = f"used {current.name} instead" if current.exists() else "they are made again"
                say(
                    f"the snapshot {generation.name} of queues and topics is damaged: {instead}; the worker finds "
                    "the jobs whose messages are missing"
                )
            elif not _is_legacy(generation):
                shutil.rmtree(generation, ignore_errors=True)

    def legacy(self) -> Path | None:
        """Returns the newest generation of version 0.2 or before, which had no manifest but all services' files."""
        return next((entry for entry in self._generations() if _is_legacy(entry)), None)

    def write(self, states: Mapping[str, Any], encode: Callable[[str, Any], str]) -> int:
        """Writes `states` (service -> state) as the next generation and returns its size in bytes.

        A service of the last generation that is not in `states` is carried over. Raises SnapshotFailed.
        """
        known = self._generations()
        generation = self._folder / f"g{_number(known[0]) + 1 if known else 1}"
        try:
            generation.mkdir(parents=True, mode=0o700)
            texts = {service: encode(service, state).encode() for service, state in states.items()}
            for file in self.current.glob("*.json"):
                if file.stem not in ELSEWHERE:
                    texts.setdefault(file.stem, file.read_bytes())
            for service, text in texts.items():
                _write(generation / f"{service}.json", text)
            lines = [f"{hashlib.sha256(text).hexdigest()}  {name}.json\n" for name, text in texts.items()]
            _write(generation / MANIFEST, "".join(lines).encode())
            sync_folder(generation)
        except (OSError, ValueError, TypeError, RecursionError) as exc:
            shutil.rmtree(generation, ignore_errors=True)
            raise SnapshotFailed(f"the state of the embedded cloud was not saved: {exc}") from exc
        for old in known[KEPT - 1 :]:
            shutil.rmtree(old, ignore_errors=True)
        return sum(map(len, texts.values()))

    def _generations(self) -> list[Path]:
        """All generations, the newest first."""
        found = [entry for entry in self._folder.glob("g*") if GENERATION.fullmatch(entry.name)]
        return sorted(found, key=_number, reverse=True)


def _number(generation: Path) -> int:
    return int(generation.name[1:])


def _is_legacy(generation: Path) -> bool:
    return not (generation / MANIFEST).exists() and any(
        (generation / f"{service}.json").exists() for service in ELSEWHERE
    )


def _complete(generation: Path) -> bool:
    try:
        lines = (generation / MANIFEST).read_text().splitlines()
        sums: dict[str, str] = {name: known for known, name in (line.split("  ", 1) for line in lines)}
        files = {name: (generation / name).read_bytes() for name in sums}
    except (OSError, ValueError):
        return False
    return all(hashlib.sha256(files[name]).hexdigest() == known for name, known in sums.items())


def _write(path: Path, data: bytes) -> None:
    with open(path, "xb", opener=_private) as file:
        file.write(data)
        file.flush()
        os.fsync(file.fileno())


def _private(path: str, flags: int) -> int:
    return os.open(path, flags, 0o600)


def encoder(persistence: Any) -> Callable[[str, Any], str]:
    """The text MiniStack's own loader reads, for its module `ministack.core.persistence`.

    `json.dumps` rather than MiniStack's `json.dump`: the same text by the C encoder, several times faster.
    """

    def encode(service: str, state: Any) -> str:
        version = persistence._state_format_version(service)
        return json.dumps(
            {"__ministack_format__": version, "payload": state}, default=persistence._json_default
        )

    return encode
