"""Making the environments: what is skipped, and the one line for each thing that can be wrong."""

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
    """An environment with pip and nothing else; making one takes seconds."""
    made = tmp_path_factory.mktemp("environment") / "empty"
    subprocess.run([sys.executable, "-m", "venv", str(made)], check=True, timeout=100)
    return made


@pytest.fixture
def checkout(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A root with requirements that need no registry, and no registry either."""
    (tmp_path / "run.txt").write_text("# nothing\n")
    (tmp_path / "dev.txt").write_text("-r run.txt\n")
    monkeypatch.setattr(bootstrap, "ROOT", tmp_path)
    monkeypatch.setenv("PIP_NO_INDEX", "1")
    monkeypatch.setenv("PIP_CONFIG_FILE", os.devnull)
    monkeypatch.delenv("PIP_FIND_LINKS", raising=False)
    return tmp_path


ENVIRONMENT = {"one": Environment("run.txt", "dev.txt", 0)}


def test_an_environment_is_made_once_and_made_again_when_its_requirements_change(
    checkout: Path, empty_environment: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    folder = checkout / "venvs"
    # Made by hand, so without a stamp: it is completed, not thrown away.
    shutil.copytree(empty_environment, folder / "one", symlinks=True)
    (folder / "one/kept").write_text("")
    make_environments(folder, ENVIRONMENT, dev=False)
    assert "Installed run.txt" in capsys.readouterr().out
    make_environments(folder, ENVIRONMENT, dev=False)
    assert capsys.readouterr().out == ""
    assert missing(folder, ENVIRONMENT, dev=True) == ["one"]
    make_environments(folder, ENVIRONMENT, dev=True)
    assert missing(folder, ENVIRONMENT, dev=False) == []
    # The file that dev.txt includes counts too.
    (checkout / "run.txt").write_text("# nothing else\n")
    assert missing(folder, ENVIRONMENT, dev=True) == ["one"]
    make_environments(folder, ENVIRONMENT, dev=True)
    assert (folder / "one/kept").exists()


def test_what_the_studio_runs_without_is_only_made_for_development(checkout: Path) -> None:
    extra = {"extra": Environment(None, "dev.txt", 0)}
    assert missing(checkout / "venvs", extra, dev=False) == []
    assert missing(checkout / "venvs", extra, dev=True) == ["extra"]


def test_a_package_that_is_not_to_be_had_is_one_line_with_the_log(
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


def test_an_unreachable_registry_is_one_line(
    checkout: Path, empty_environment: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    shutil.copytree(empty_environment, checkout / "venvs/one", symlinks=True)
    (checkout / "run.txt").write_text("anything==1.0\n")
    monkeypatch.delenv("PIP_NO_INDEX")
    monkeypatch.setenv("PIP_INDEX_URL", "http://127.0.0.1:1/simple")
    monkeypatch.setenv("PIP_RETRIES", "1")
    with pytest.raises(Impossible, match="the package registry cannot be reached; its log is "):
        make_environments(checkout / "venvs", ENVIRONMENT, dev=False)


def test_a_full_disk_is_one_line_before_anything_is_installed(checkout: Path) -> None:
    with pytest.raises(Impossible, match=r"GB free and the installation needs 1000000.0 GB; make room"):
        make_environments(checkout / "venvs", {"one": Environment("run.txt", "dev.txt", 10**15)}, dev=False)
    assert not (checkout / "venvs/one").exists()


def test_another_python_alone_is_told_which_one_is_needed(tmp_path: Path) -> None:
    # A machine whose only python3 is another one.
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


def test_an_environment_of_another_python_is_made_anew(checkout: Path) -> None:
    python = checkout / "venvs/one/bin/python"
    python.parent.mkdir(parents=True)
    python.write_text("#!/bin/sh\necho 3.9\n")
    python.chmod(0o755)
    make_environments(checkout / "venvs", ENVIRONMENT, dev=False)
    assert subprocess.run([str(python), "-c", "import pip"], timeout=60, check=False).returncode == 0


def test_it_is_written_in_the_oldest_python_it_promises() -> None:
    text = (ROOT / "local/bootstrap.py").read_text()
    ast.parse(text, feature_version=(3, 8))
    # Types of later versions may only stand where they are not evaluated.
    assert "from __future__ import annotations" in text


def test_no_chromium_and_no_way_to_install_it_is_one_clear_line(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("PATH", str(tmp_path))
    said: list[str] = []
    assert bootstrap.find_chromium(said.append) is None
    assert len(said) == 1
    assert "browser tests cannot run" in said[0]
