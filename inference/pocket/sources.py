"""The packages behind pocket's data: the manifest `sources.toml`, and how they are fetched and verified."""

from __future__ import annotations

import base64
import hashlib
import shutil
import subprocess
import tarfile
import tomllib
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from inference.pocket.errors import PocketError
from inference.pocket.folders import HERE

MANIFEST = HERE / "sources.toml"


@dataclass(frozen=True)
class Source:
    """One package at one version. `integrity` is in npm's format: `sha512-` and the base64 digest of the archive."""

    package: str
    version: str
    integrity: str
    licence: str
    holder: str
    kind: Literal["pictures", "names"]
    style: str | None = None

    @property
    def folder(self) -> str:
        """The unpacked package's name on disk, without slashes or `@`."""
        return self.package.replace("@", "").replace("/", "-") + "-" + self.version


def read_sources(manifest: Path = MANIFEST) -> tuple[Source, ...]:
    """Return the packages of the manifest, in its order. Raises `PocketError` when an entry is malformed."""
    try:
        entries = tomllib.loads(manifest.read_text(encoding="utf-8"))["source"]
        sources = tuple(Source(**entry) for entry in entries)
    except (OSError, KeyError, TypeError, tomllib.TOMLDecodeError) as exc:
        raise PocketError(f"{manifest} cannot be read: {exc}") from exc
    for source in sources:
        if (source.kind == "pictures") != (source.style is not None):
            raise PocketError(
                f"{manifest}: {source.package} needs a `style` exactly when its kind is pictures."
            )
    return sources


def fetch_sources(root: Path) -> dict[str, Path]:
    """Return the folder of every package by package name, fetching the missing ones.

    Runs `npm pack` (network, about 60 MB the first time). Raises `PocketError` when npm is missing or fails, or when an
    archive does not match its checksum.
    """
    packages = root / "packages"
    packages.mkdir(parents=True, exist_ok=True)
    return {source.package: _fetch(source, packages) for source in read_sources()}


def check_integrity(archive: Path, integrity: str) -> None:
    """Raise `PocketError` when the archive's SHA-512 does not match `integrity`."""
    with archive.open("rb") as stream:
        digest = hashlib.file_digest(stream, "sha512").digest()
    found = "sha512-" + base64.b64encode(digest).decode()
    if found != integrity:
        raise PocketError(
            f"{archive.name} has the checksum {found}, the manifest says {integrity}: the file was cut short or is "
            "another one. Delete it and run the command again."
        )


def _fetch(source: Source, packages: Path) -> Path:
    folder = packages / source.folder
    if folder.is_dir():
        return folder
    archive = packages / f"{source.folder}.tgz"
    if not archive.exists():
        _npm_pack(source, archive)
    check_integrity(archive, source.integrity)
    # Unpacked next to the target and renamed, so that an existing folder is always complete.
    partial = packages / f"{source.folder}.partial"
    shutil.rmtree(partial, ignore_errors=True)
    with tarfile.open(archive) as tar:
        tar.extractall(partial, filter="data")
    (partial / "package").rename(folder)
    shutil.rmtree(partial)
    return folder


def _npm_pack(source: Source, archive: Path) -> None:
    wanted = f"{source.package}@{source.version}"
    box = archive.with_suffix(".download")
    shutil.rmtree(box, ignore_errors=True)
    box.mkdir()
    command = ["npm", "pack", wanted, "--silent", "--pack-destination", str(box)]
    try:
        done = subprocess.run(command, capture_output=True, text=True, timeout=600, check=False)
    except FileNotFoundError:
        raise PocketError(
            "npm is not installed; the icon packages come from its registry. Install npm."
        ) from None
    except subprocess.TimeoutExpired:
        raise PocketError(f"npm pack {wanted} took more than 10 minutes; check the network.") from None
    found = sorted(box.glob("*.tgz"))
    if done.returncode != 0 or len(found) != 1:
        raise PocketError(f"npm pack {wanted} failed: {done.stderr.strip() or 'no archive came'}")
    found[0].rename(archive)
    shutil.rmtree(box)
