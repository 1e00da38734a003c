"""Tests of creating the environments: skipped work, and a one-line message for each problem."""

from __future__ import annotations

import ast
import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from local import bootstrap
from local.bootstrap import Environment, Impossible, make_environments, missing
from local.processes import ROOT


@pytest.fixture(scope="module")
def empty_environment(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """An environment with only pip, shared because creating one takes seconds."""
    made = tmp_path_factory.mktemp("environment") / "empty"
    subprocess.run([sys.executable, "-m", "venv", str(made)], check=True, timeout=100)
    return made


@pytest.fixture
def checkout(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A root whose requirements need no registry, with the registry switched off."""
    (tmp_path / "run.txt").write_text("# nothing\n")
    (tmp_path / "dev.txt").write_text("-r run.txt\n")
    monkeypatch.setattr(bootstrap, "ROOT", tmp_path)
    monkeypatch.setenv("PIP_NO_INDEX", "1")
    monkeypatch.setenv("PIP_CONFIG_FILE", os.devnull)
    monkeypatch.delenv("PIP_FIND_LINKS", raising=False)
    return tmp_path


ENVIRONMENT = {"one": Environment("run.txt", "dev.txt", 0)}


def test_an_environment_is_created_once_and_updated_when_its_requirements_change(
    checkout: Path, empty_environment: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    folder = checkout / "venvs"
    # Created by hand and therefore without a stamp: it is completed, not deleted.
    shutil.copytree(empty_environment, folder / "one", symlinks=True)
    (folder / "one/kept").write_text("")
    make_environments(folder, ENVIRONMENT, dev=False)
    assert "Installed run.txt" in capsys.readouterr().out
    make_environments(folder, ENVIRONMENT, dev=False)
    assert capsys.readouterr().out == ""
    assert missing(folder, ENVIRONMENT, dev=True) == ["one"]
    make_environments(folder, ENVIRONMENT, dev=True)
    assert missing(folder, ENVIRONMENT, dev=False) == []
    # A change in a file that dev.txt includes counts too.
    (checkout / "run.txt").write_text("# nothing else\n")
    assert missing(folder, ENVIRONMENT, dev=True) == ["one"]
    make_environments(folder, ENVIRONMENT, dev=True)
    assert (folder / "one/kept").exists()


def test_an_environment_without_runtime_requirements_is_needed_only_for_development(checkout: Path) -> None:
    extra = {"extra": Environment(None, "dev.txt", 0)}
    assert missing(checkout / "venvs", extra, dev=False) == []
    assert missing(checkout / "venvs", extra, dev=True) == ["extra"]


def test_an_unavailable_package_is_reported_in_one_line_with_the_log(
    checkout: Path, empty_environment: Path
) -> None:
    shutil.copytree(empty_environment, checkout / "venvs/one", symlinks=True)
    (checkout / "run.txt").write_text("no-such-package==1.0\n")
    with pytest.raises(Impossible) as failed:
        make_environments(checkout / "venvs", ENVIRONMENT, dev=False)
    log = checkout / "venvs/one.log"
    assert str(failed.value) == (
        f"run.txt could not be installed: a package is not to be had in its version; its log is {log}"
    )
    assert "no-such-package" in log.read_text()
    assert missing(checkout / "venvs", ENVIRONMENT, dev=False) == ["one"]


def test_an_unreachable_registry_is_reported_in_one_line(
    checkout: Path, empty_environment: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    shutil.copytree(empty_environment, checkout / "venvs/one", symlinks=True)
    (checkout / "run.txt").write_text("anything==1.0\n")
    monkeypatch.delenv("PIP_NO_INDEX")
    monkeypatch.setenv("PIP_INDEX_URL", "http://127.0.0.1:1/simple")
    monkeypatch.setenv("PIP_RETRIES", "1")
    with pytest.raises(Impossible, match="the package registry cannot be reached; its log is "):
        make_environments(checkout / "venvs", ENVIRONMENT, dev=False)


def test_a_full_disk_is_reported_before_anything_is_installed(checkout: Path) -> None:
    with pytest.raises(Impossible, match=r"GB free and the installation needs 1000000.0 GB; make room"):
        make_environments(checkout / "venvs", {"one": Environment("run.txt", "dev.txt", 10**15)}, dev=False)
    assert not (checkout / "venvs/one").exists()


def test_the_needed_python_version_is_reported_when_only_another_is_installed(tmp_path: Path) -> None:
    # A machine whose only python3 is version 3.9.
    fake = tmp_path / "python3"
    fake.write_text("#!/bin/sh\necho 3.9\n")
    fake.chmod(0o755)
    code = (
        "import sys; sys.executable = sys.argv[1]; sys.version_info = (3, 9, 0)\n"
        "from local.bootstrap import find_python, Impossible\n"
        "try: find_python()\nexcept Impossible as exc: print(exc)"
    )
    ended = subprocess.run(
        [sys.executable, "-c", code, str(fake)],
        cwd=ROOT,
        env={"PATH": str(tmp_path) + ":/nonexistent"},
        capture_output=True,
        text=True,
        timeout=30,
    )
    assert ended.stdout.startswith("Python 3.11 is needed and was not found (this is 3.9); install it")
    assert len(ended.stdout.splitlines()) == 1


def test_an_environment_with_another_python_version_is_recreated(checkout: Path) -> None:
    python = checkout / "venvs/one/bin/python"
    python.parent.mkdir(parents=True)
    python.write_text("#!/bin/sh\necho 3.9\n")
    python.chmod(0o755)
    make_environments(checkout / "venvs", ENVIRONMENT, dev=False)
    assert subprocess.run([str(python), "-c", "import pip"], timeout=60, check=False).returncode == 0


def test_bootstrap_is_valid_syntax_in_the_oldest_supported_python() -> None:
    text = (ROOT / "local/bootstrap.py").read_text()
    ast.parse(text, feature_version=(3, 8))
    # Type syntax of later versions is allowed only in annotations, which are not evaluated.
    assert "from __future__ import annotations" in text


def test_a_missing_chromium_that_cannot_be_installed_is_reported_in_one_line(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("PATH", str(tmp_path))
    said: list[str] = []
    assert bootstrap.find_chromium(said.append) is None
    assert len(said) == 1
    assert "browser tests cannot run" in said[0]
