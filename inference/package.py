"""`python -m inference.package FOLDER --out FILE`: packs a model folder as SageMaker unpacks it into /opt/ml/model.

The same folder gives the same bytes on any machine with the same zlib: names are sorted, and there are no times,
owners, or modes.
"""

from __future__ import annotations

import argparse
import gzip
import hashlib
import io
import json
import sys
import tarfile
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from inference.errors import StartError
from inference.pipelines.folder import inspect_folder
from inference.pipelines.found_model import find_model

CARD = "model_card.json"
# Weights hardly compress: level 1 takes a third of the time of level 9 for 1 % more bytes.
GZIP_LEVEL = 1


@dataclass(frozen=True)
class Package:
    """The written archive; `left_out` are hidden files, relative to the model folder."""

    path: Path
    size_bytes: int
    sha256: str
    left_out: list[str]


def pack(folder: Path, out: Path) -> Package:
    """Write `folder` to `out` as .tar.gz with the model's files at its root, replacing an older file.

    Raises `StartError` for a folder that the server would not load, and for dangling links; nothing is written then.
    """
    find_model(folder)
    model = inspect_folder(folder)
    files = dict(_files(folder))
    hidden = [name for name in files if any(part.startswith(".") for part in name.split("/"))]
    # The container sees the folder as /opt/ml/model, so without a card the name would be `model`.
    card = {**model.card, "name": model.name}
    out.parent.mkdir(parents=True, exist_ok=True)
    unfinished = out.with_name(out.name + ".part")
    try:
        with (
            unfinished.open("wb") as raw,
            gzip.GzipFile(filename="", mode="wb", fileobj=raw, compresslevel=GZIP_LEVEL, mtime=0) as zipped,
            tarfile.open(fileobj=zipped, mode="w", format=tarfile.PAX_FORMAT) as tar,
        ):
            for name in sorted({*files, CARD} - set(hidden)):
                if name == CARD and card != model.card:
                    text = json.dumps(card, indent=2, sort_keys=True).encode() + b"\n"
                    tar.addfile(_entry(name, len(text)), io.BytesIO(text))
                else:
                    with files[name].open("rb") as stream:
                        tar.addfile(_entry(name, files[name].stat().st_size), stream)
        unfinished.replace(out)
    finally:
        unfinished.unlink(missing_ok=True)
    with out.open("rb") as written:
        sha256 = hashlib.file_digest(written, "sha256").hexdigest()
    return Package(out, out.stat().st_size, sha256, sorted(hidden))


def _files(folder: Path) -> Iterator[tuple[str, Path]]:
    """Return the archive name and the path of each file; links are followed, because a hub's cache consists of them."""
    for path in sorted(folder.rglob("*")):
        if path.is_file():
            yield path.relative_to(folder).as_posix(), path
        elif not path.is_dir():
            raise StartError(
                f"{path} is neither a file nor a folder, or a link that leads nowhere: remove it."
            )


def _entry(name: str, size_bytes: int) -> tarfile.TarInfo:
    entry = tarfile.TarInfo(name)
    entry.size = size_bytes
    entry.mode = 0o644
    return entry


def main(arguments: list[str]) -> int:
    """Parse the command line and pack; prints path, size, and SHA-256. Returns exit code 1 after printing an error."""
    parser = argparse.ArgumentParser(prog="python -m inference.package", description=__doc__)
    parser.add_argument("folder", type=Path, help="a diffusers model folder")
    parser.add_argument("--out", type=Path, required=True, help="the .tar.gz to write")
    options = parser.parse_args(arguments)
    try:
        package = pack(options.folder, options.out)
    except (StartError, OSError) as exc:
        print(f"model-package: {exc}", file=sys.stderr)
        return 1
    for name in package.left_out:
        print(f"left out   {name}")
    print(f"wrote      {package.path}")
    print(f"size       {package.size_bytes:,} bytes")
    print(f"sha256     {package.sha256}")
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
