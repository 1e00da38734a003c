"""Repairs S3 objects on disk after a kill, so that each body matches its metadata before MiniStack reads them."""

from __future__ import annotations

import hashlib
import json
import mimetypes
import os
from collections.abc import Iterator
from pathlib import Path
from typing import Any

SIDECAR = ".meta.json"
HALF_WRITTEN = ".tmp"
VERSIONS = ".versions"
ENCODED_KEYS = ".ministack-keys"


# Beside the folder: inside, MiniStack would take the files for objects.
DAMAGED = "damaged"


def mend_bodies(folder: Path) -> list[str]:
    """Repairs `folder` (MiniStack's `S3_DATA_DIR`) in place and returns one line per repair.

    MiniStack writes a body, then its sidecar (type, ETag, versions), each by a rename. If it is killed in between,
    a new object has a body without a type, and an overwritten object still has the previous body's metadata.
    Half-written files are removed; metadata that does not match its body is rebuilt from the body.
    Raises OSError when the folder cannot be read or written.
    """
    lines = [*_set_damaged_aside(folder)]
    for path in _files(folder):
        if path.name.endswith(HALF_WRITTEN):
            path.unlink()
            lines.append(f"removed {path.relative_to(folder)}, half-written when the cloud was killed")
        elif not path.name.endswith(SIDECAR) and path.relative_to(folder).parts[0] != VERSIONS:
            line = _mend(path, folder)
            if line:
                lines.append(line)
    return lines


def _set_damaged_aside(folder: Path) -> Iterator[str]:
    """Moves descriptions that cannot be read to `damaged`; those of bodies are rebuilt after that."""
    for path in _files(folder):
        if not path.name.endswith(SIDECAR):
            continue
        try:
            readable = isinstance(json.loads(path.read_bytes()), dict)
        except (ValueError, RecursionError):
            readable = False
        if not readable:
            name = path.relative_to(folder)
            aside = folder.parent / DAMAGED / name
            aside.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
            os.replace(path, aside)
            yield f"{name} is damaged: moved to {aside}; older versions of this object are no longer listed"


def _files(folder: Path) -> Iterator[Path]:
    for parent, _, names in os.walk(folder):
        for name in names:
            yield Path(parent, name)


def _mend(body: Path, folder: Path) -> str:
    sidecar = body.with_name(body.name + SIDECAR)
    known: dict[str, Any] = {}
    if sidecar.exists():
        known = json.loads(sidecar.read_text())
        if known.get("is_delete_marker") or body.stat().st_mtime_ns <= sidecar.stat().st_mtime_ns:
            return ""
    elif ENCODED_KEYS in body.parts:
        return ""  # only the sidecar has the key; MiniStack would take the file's name for it
    before = _version_file(folder, body, known.get("version_id"))
    if before:
        # The put that replaced this version was never acknowledged: undo it.
        _replace(body, before.read_bytes())
        os.utime(sidecar)
        return f"took back an unfinished overwrite of {body.relative_to(folder)}"
    data = body.read_bytes()
    etag = f'"{hashlib.md5(data, usedforsecurity=False).hexdigest()}"'
    if known.get("etag") == etag:
        return ""
    guessed = mimetypes.guess_type(body.name)[0] or "application/octet-stream"
    known.update(etag=etag, size=len(data), checksums={}, content_type=known.get("content_type", guessed))
    for version in known.get("versions", []):
        if version.get("version_id") == known.get("version_id"):
            version.update(etag=etag, size=len(data), checksums={})
    known.setdefault("key", str(Path(*body.relative_to(folder).parts[2:])))
    _replace(sidecar, json.dumps(known).encode())
    return f"described {body.relative_to(folder)} again from its {len(data)} bytes"


def _version_file(folder: Path, body: Path, version: str | None) -> Path | None:
    """Return the copy that MiniStack made of a version before overwriting it."""
    account, bucket, *key = body.relative_to(folder).parts
    file = folder / VERSIONS / account / bucket / (version or "null") / Path(*key)
    return file if version and file.is_file() else None


def _replace(path: Path, data: bytes) -> None:
    fresh = path.with_name(path.name + HALF_WRITTEN)
    fresh.write_bytes(data)
    fresh.chmod(0o600)
    os.replace(fresh, path)
