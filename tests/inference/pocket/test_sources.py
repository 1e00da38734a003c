"""Tests of pocket's sources: the manifest, verification of downloads, and the licenses."""

from __future__ import annotations

import base64
import hashlib
import re
import tarfile
from pathlib import Path

import pytest

from inference.pocket import sources
from inference.pocket.errors import PocketError
from inference.pocket.folders import HERE
from inference.pocket.sources import Source, check_integrity, fetch_sources, read_sources

FREE_LICENCES = {"MIT", "Apache-2.0", "CC-BY-4.0"}


def archive_in(folder: Path, source: Source) -> Path:
    """Write the archive of a package with one file to the path of `fetch_sources`'s download."""
    content = folder / "package"
    content.mkdir()
    (content / "icons.json").write_text("{}")
    archive = folder / "packages" / f"{source.folder}.tgz"
    archive.parent.mkdir()
    with tarfile.open(archive, "w:gz") as tar:
        tar.add(content, "package")
    return archive


def integrity_of(file: Path) -> str:
    return "sha512-" + base64.b64encode(hashlib.sha512(file.read_bytes()).digest()).decode()


def test_every_source_has_an_exact_version_and_a_sha512() -> None:
    for source in read_sources():
        assert re.fullmatch(r"\d+\.\d+\.\d+", source.version), source.package
        algorithm, _, digest = source.integrity.partition("-")
        assert algorithm == "sha512"
        assert len(base64.b64decode(digest, validate=True)) == 64


def test_no_source_is_listed_twice_and_every_style_has_one() -> None:
    listed = read_sources()
    assert len({source.package for source in listed}) == len(listed)
    styles = [source.style for source in listed if source.kind == "pictures"]
    assert sorted(filter(None, styles)) == ["3d", "flat", "glossy", "noto", "twemoji"]


def test_every_license_is_free_and_every_source_is_on_the_license_page() -> None:
    page = (HERE / "LICENSES.md").read_text(encoding="utf-8")
    for source in read_sources():
        assert source.licence in FREE_LICENCES
        row = next((line for line in page.splitlines() if f"`{source.package}` |" in line), "")
        assert f"| {source.version} |" in row, source.package
        assert f"| {source.licence} |" in row, source.package


def test_the_license_page_contains_the_notices() -> None:
    page = (HERE / "LICENSES.md").read_text(encoding="utf-8")
    for notice in (
        "Microsoft Corporation",
        "Mu-An Chiou",
        "Miles Johnson",
        "Google Inc",
        "Twitter, Inc",
        "Permission is",
    ):
        assert notice in page


def test_an_archive_with_the_right_checksum_is_unpacked(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    draft = Source("@ours/icons", "1.0.0", "", "MIT", "us", "pictures", "3d")
    archive = archive_in(tmp_path, draft)
    source = Source("@ours/icons", "1.0.0", integrity_of(archive), "MIT", "us", "pictures", "3d")
    monkeypatch.setattr(sources, "read_sources", lambda: (source,))
    folder = fetch_sources(tmp_path)["@ours/icons"]
    assert (folder / "icons.json").read_text() == "{}"


def test_a_truncated_archive_is_refused_and_nothing_is_unpacked(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    draft = Source("@ours/icons", "1.0.0", "", "MIT", "us", "pictures", "3d")
    archive = archive_in(tmp_path, draft)
    source = Source("@ours/icons", "1.0.0", integrity_of(archive), "MIT", "us", "pictures", "3d")
    archive.write_bytes(archive.read_bytes()[:-7])
    monkeypatch.setattr(sources, "read_sources", lambda: (source,))
    with pytest.raises(PocketError, match="checksum"):
        fetch_sources(tmp_path)
    assert not (tmp_path / "packages" / source.folder).exists()


def test_a_wrong_checksum_names_the_file_and_the_remedy(tmp_path: Path) -> None:
    file = tmp_path / "icons-1.0.0.tgz"
    file.write_bytes(b"something else")
    with pytest.raises(PocketError, match=r"icons-1\.0\.0\.tgz .* Delete it"):
        check_integrity(file, "sha512-" + base64.b64encode(bytes(64)).decode())


def test_a_manifest_entry_with_an_unknown_field_is_refused(tmp_path: Path) -> None:
    manifest = tmp_path / "sources.toml"
    manifest.write_text('[[source]]\npackage = "a"\nflavour = "vanilla"\n')
    with pytest.raises(PocketError, match="cannot be read"):
        read_sources(manifest)
