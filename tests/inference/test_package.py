"""Tests of `make model-package`: the archive's content, that it is reproducible, and what is refused."""

from __future__ import annotations

import hashlib
import json
import os
import shutil
import subprocess
import sys
import tarfile
from pathlib import Path

import pytest

from inference import package
from inference.errors import StartError
from inference.package import pack
from inference.pipelines.folder import inspect_folder
from inference.pipelines.found_model import find_model

ROOT = Path(__file__).resolve().parents[2]


@pytest.fixture
def folder(tiny_folder: Path, tmp_path: Path) -> Path:
    """A copy of the tiny model that a test can change."""
    return Path(shutil.copytree(tiny_folder, tmp_path / "tiny-copy"))


def unpack(archive: Path, to: Path) -> Path:
    """Unpack like SageMaker, into a folder with a generic name."""
    model = to / "ml" / "model"
    model.mkdir(parents=True)
    with tarfile.open(archive, "r:gz") as tar:
        tar.extractall(model, filter="data")
    return model


def test_the_same_folder_gives_the_same_bytes(folder: Path, tmp_path: Path) -> None:
    first = pack(folder, tmp_path / "one.tar.gz")
    # Other times, modes, order of creation, and names of the folder and the file.
    again = tmp_path / "elsewhere" / "m"
    again.mkdir(parents=True)
    for file in sorted(folder.rglob("*"), reverse=True):
        target = again / file.relative_to(folder)
        if file.is_file():
            target.parent.mkdir(parents=True, exist_ok=True)
            shutil.copyfile(file, target)
            os.utime(target, (1, 1))
            target.chmod(0o600)
    second = pack(again, tmp_path / "two.tar.gz")
    assert first.path.read_bytes() == second.path.read_bytes()
    assert first.sha256 == second.sha256 == hashlib.sha256(first.path.read_bytes()).hexdigest()
    assert first.size_bytes == first.path.stat().st_size
    (again / "vae" / "config.json").write_text((again / "vae" / "config.json").read_text() + " ")
    assert pack(again, tmp_path / "two.tar.gz").sha256 != first.sha256


def test_the_server_finds_the_same_model_in_the_archive(folder: Path, tmp_path: Path) -> None:
    model = unpack(pack(folder, tmp_path / "model.tar.gz").path, tmp_path)
    packed, original = inspect_folder(model), inspect_folder(folder)
    assert (packed.name, packed.revision()) == (original.name, original.revision())
    assert find_model(model)[1] == find_model(folder)[1]
    assert sorted(f.relative_to(model) for f in model.rglob("*")) == sorted(
        f.relative_to(folder) for f in folder.rglob("*")
    )


def test_a_model_without_a_card_keeps_its_name(folder: Path, tmp_path: Path) -> None:
    (folder / "model_card.json").unlink()
    model = unpack(pack(folder, tmp_path / "model.tar.gz").path, tmp_path)
    assert inspect_folder(model).name == "tiny-copy"
    assert not (folder / "model_card.json").exists()


def test_hidden_files_are_left_out_and_reported(folder: Path, tmp_path: Path) -> None:
    (folder / ".cache" / "hub").mkdir(parents=True)
    (folder / ".cache" / "hub" / "lock").write_text("")
    (folder / "unet" / ".DS_Store").write_text("")
    written = pack(folder, tmp_path / "model.tar.gz")
    assert written.left_out == [".cache/hub/lock", "unet/.DS_Store"]
    assert not list(unpack(written.path, tmp_path).rglob(".*"))


def test_links_into_a_hub_cache_become_files(folder: Path, tmp_path: Path) -> None:
    weights = next((folder / "unet").glob("*.safetensors"))
    expected = pack(folder, tmp_path / "plain.tar.gz")
    blob = tmp_path / "blob"
    weights.rename(blob)
    weights.symlink_to(blob)
    assert pack(folder, tmp_path / "linked.tar.gz").sha256 == expected.sha256


@pytest.mark.parametrize("bad", ["unet/model.bin", "pipeline.py", "notes.pkl"])
def test_a_folder_that_the_server_refuses_is_not_packed(bad: str, folder: Path, tmp_path: Path) -> None:
    (folder / bad).write_bytes(b"x")
    with pytest.raises(StartError, match=bad.rsplit("/", 1)[-1]):
        pack(folder, tmp_path / "model.tar.gz")
    assert list(tmp_path.glob("*.tar.gz*")) == []


def test_a_dangling_link_is_named(folder: Path, tmp_path: Path) -> None:
    (folder / "vae" / "lost.json.link").symlink_to(tmp_path / "nowhere")
    with pytest.raises(StartError, match=r"lost\.json\.link .*leads nowhere"):
        pack(folder, tmp_path / "model.tar.gz")


def test_an_incomplete_archive_replaces_nothing(
    folder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    out = tmp_path / "model.tar.gz"
    before = pack(folder, out)
    written: list[str] = []

    def fail(name: str, size_bytes: int) -> tarfile.TarInfo:
        written.append(name)
        if len(written) == 5:
            raise OSError(28, "No space left on device")
        return tarfile.TarInfo(name)

    monkeypatch.setattr(package, "_entry", fail)
    with pytest.raises(OSError, match="No space left"):
        pack(folder, out)
    assert len(written) == 5
    assert hashlib.sha256(out.read_bytes()).hexdigest() == before.sha256
    assert list(tmp_path.glob("*.part")) == []


def test_the_command_packs_pocket_and_prints_size_and_hash(tmp_path: Path) -> None:
    out = tmp_path / "build" / "model.tar.gz"
    done = subprocess.run(
        [sys.executable, "-m", "inference.package", "inference/pocket/weights", "--out", str(out)],
        cwd=ROOT,
        capture_output=True,
        text=True,
        timeout=100,
        check=True,
    )
    content = out.read_bytes()
    assert f"size       {len(content):,} bytes" in done.stdout
    assert f"sha256     {hashlib.sha256(content).hexdigest()}" in done.stdout
    model = unpack(out, tmp_path)
    assert json.loads((model / "model_card.json").read_text())["name"] == "pocket"
    assert inspect_folder(model).revision() == inspect_folder(ROOT / "inference/pocket/weights").revision()


def test_the_command_reports_an_error_in_one_line(tmp_path: Path) -> None:
    done = subprocess.run(
        [sys.executable, "-m", "inference.package", str(tmp_path / "nothing"), "--out", str(tmp_path / "x")],
        cwd=ROOT,
        capture_output=True,
        text=True,
        timeout=100,
        check=False,
    )
    assert done.returncode == 1
    assert done.stderr.startswith(f"model-package: Model folder {tmp_path / 'nothing'} is not there")
    assert len(done.stderr.splitlines()) == 1
