"""Tests of the image without Docker: its Dockerfile, and its command in a folder with nothing but the package."""

from __future__ import annotations

import json
import re
import shutil
import signal
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest
from dockerfile_parse import DockerfileParser

from inference import settings
from inference.settings import read_settings
from tests.inference.client import PAYLOAD, Answer, ask, wait_until
from tests.inference.processes import clean_environment, free_port

ROOT = Path(__file__).resolve().parents[2]
DOCKERFILE = ROOT / "inference/Dockerfile"
WORKDIR = "/opt/program"


def values(instruction: str) -> list[str]:
    """Return the arguments of all instructions of one kind in the Dockerfile."""
    with DOCKERFILE.open("rb") as stream:
        steps = DockerfileParser(fileobj=stream).structure
    return [step["value"] for step in steps if step["instruction"] == instruction]


def environment() -> dict[str, str]:
    return dict(pair.split("=", 1) for pair in values("ENV")[0].split())


def test_the_image_starts_without_a_shell_by_a_single_command() -> None:
    (entrypoint,), (command,) = values("ENTRYPOINT"), values("CMD")
    assert json.loads(entrypoint) == ["python", "-m", "inference.serve"]
    assert json.loads(command) == ["serve"]
    # SageMaker needs root: another user could not read what it mounts.
    assert values("USER") == []
    assert values("EXPOSE") == [str(read_settings({}).port)]


def test_installed_packages_are_pinned_and_leave_no_cache() -> None:
    (base,) = values("FROM")
    assert re.fullmatch(r"python:3\.11\.\d+-slim-[a-z]+", base), base
    system, packages, compiled = values("RUN")
    assert system.endswith("rm -rf /var/lib/apt/lists/*")
    assert packages.endswith("pip install --no-cache-dir -r inference/requirements.txt")
    # Compiled here, so that starting is faster.
    assert compiled == "python -m compileall -q inference"


def test_only_the_package_is_copied_to_a_path_that_python_imports_from() -> None:
    assert values("COPY") == [
        "inference/requirements.txt inference/requirements.txt",
        "inference/ inference/",
    ]
    assert all((ROOT / line.split()[0]).exists() for line in values("COPY"))
    assert values("WORKDIR") == [WORKDIR] == [environment()["PYTHONPATH"]]
    rules = [
        line
        for line in DOCKERFILE.with_name("Dockerfile.dockerignore").read_text().splitlines()
        if not line.startswith("#")
    ]
    assert rules[:2] == ["*", "!inference"]
    # No other path is included, and nothing that the container needs is excluded.
    assert not [rule for rule in rules[2:] if rule.startswith("!")]
    assert set(rules[2:]) == {
        "inference/Dockerfile*",
        "inference/requirements-dev.txt",
        "inference/*.in",
        "**/__pycache__",
        "**/*.pyc",
    }


class Container:
    """The image's command and environment in a folder that contains only the package."""

    def __init__(self, root: Path, *arguments: str) -> None:
        self.port = free_port()
        # The container's paths are mapped to this folder.
        inside = {name: value.replace(WORKDIR, str(root)) for name, value in environment().items()}
        self._environment = clean_environment(**inside, INFERENCE_PORT=str(self.port), INFERENCE_THREADS="1")
        self._log = root / "log"
        with self._log.open("wb") as log:
            self.process = subprocess.Popen(
                [sys.executable, *json.loads(values("ENTRYPOINT")[0])[1:], *arguments],
                cwd=root,
                env=self._environment,
                stdout=log,
                stderr=log,
            )

    def health(self) -> int:
        """Return the exit code of the image's health check."""
        program, *arguments = json.loads(values("HEALTHCHECK")[0].partition("CMD ")[2])
        assert program == "python"
        done = subprocess.run(
            [sys.executable, *arguments], env=self._environment, capture_output=True, timeout=30, check=False
        )
        return done.returncode

    def ping(self) -> int:
        try:
            return ask(self.port, "GET", "/ping").status
        except OSError:
            return 0

    def log(self) -> str:
        return self._log.read_text()


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """A folder that contains only the package."""
    shutil.copytree(ROOT / "inference", tmp_path / "inference", ignore=shutil.ignore_patterns("__pycache__"))
    return tmp_path


@pytest.fixture
def container(folder: Path) -> Iterator[Container]:
    """The image, started like SageMaker does."""
    started = Container(folder, "serve")
    yield started
    started.process.kill()
    started.process.wait()


@pytest.mark.slow
@pytest.mark.timeout(300)
def test_the_package_alone_starts_serves_and_stops(container: Container) -> None:
    wait_until(lambda: container.process.poll() is not None or container.ping() == 503, "it listens")
    assert container.health() == 1, "healthy before the model is there"
    wait_until(
        lambda: container.process.poll() is not None or container.ping() == 200, "the model loads", 200
    )
    assert container.process.poll() is None, container.log()
    assert container.health() == 0

    answer: Answer = ask(container.port, "POST", "/invocations", json.dumps(PAYLOAD).encode())
    assert answer.status == 200, answer.body
    assert answer.json["model"]["name"] == "pocket"
    (image,) = answer.json["images"]
    # The image includes the output check.
    assert 0 <= image["nsfw"] < 0.5
    assert image["withheld"] is None

    container.process.send_signal(signal.SIGTERM)
    assert container.process.wait(30) == 0
    assert container.health() == 1


def test_without_a_subcommand_it_lists_the_available_ones(folder: Path) -> None:
    started = Container(folder, "train")
    assert started.process.wait(60) == 2
    assert "invalid choice: 'train'" in started.log()


def test_the_bundled_model_is_used_only_for_an_empty_folder(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    mounted = tmp_path / "model"
    monkeypatch.setattr(settings, "MODEL_DIR", mounted)
    bundled = {"INFERENCE_BUNDLED_MODEL_DIR": "/bundled"}
    assert read_settings(bundled).model_dir == Path("/bundled")
    mounted.mkdir()
    assert read_settings(bundled).model_dir == Path("/bundled")
    assert read_settings({}).model_dir == mounted
    assert read_settings({**bundled, "INFERENCE_MODEL_DIR": "/asked"}).model_dir == Path("/asked")
    (mounted / "model_index.json").write_text("{}")
    assert read_settings(bundled).model_dir == mounted
