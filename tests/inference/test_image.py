"""The container's image without Docker: its Dockerfile is followed by hand in an empty folder, and then started."""

from __future__ import annotations

import json
import os
import re
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path

import pytest
from dockerfile_parse import DockerfileParser

from inference import settings
from inference.settings import read_settings
from tests.inference.client import PAYLOAD, Answer, ask, wait_until
from tests.inference.processes import clean_environment, free_port

ROOT = Path(__file__).resolve().parents[2]
DOCKERFILE = ROOT / "inference/Dockerfile"


@dataclass
class Image:
    """What the instructions come to: the folder that is the container's `/`, and what it is started with."""

    root: Path
    workdir: str = "/"
    environment: dict[str, str] = field(default_factory=dict)
    runs: list[str] = field(default_factory=list)
    healthcheck: list[str] = field(default_factory=list)
    entrypoint: list[str] = field(default_factory=list)
    command: list[str] = field(default_factory=list)

    def inside(self, path: str) -> Path:
        """Where a path of the container lies here."""
        return self.root / os.path.join(self.workdir, path).lstrip("/")


def instructions() -> list[tuple[str, str]]:
    with DOCKERFILE.open("rb") as stream:
        structure = DockerfileParser(fileobj=stream).structure
    return [
        (step["instruction"], step["value"])
        for step in structure
        if step["instruction"] not in ("COMMENT", "ARG")
    ]


def ignored(name: str) -> bool:
    """Whether `.dockerignore` keeps a file from the build: the last rule that fits it, or a folder above, decides."""
    verdict = False
    for line in (DOCKERFILE.with_name("Dockerfile.dockerignore")).read_text().splitlines():
        rule = line.strip()
        if not rule or rule.startswith("#"):
            continue
        pattern = re.escape(rule.removeprefix("!")).replace(r"\*\*/", "(.*/)?").replace(r"\*", "[^/]*")
        if re.fullmatch(f"{pattern}(/.*)?", name):
            verdict = not rule.startswith("!")
    return verdict


def context() -> list[str]:
    """The files that a build of a clean checkout sees."""
    listed = subprocess.run(
        ["git", "ls-files", "-z", "--cached", "--others", "--exclude-standard"],
        cwd=ROOT,
        capture_output=True,
        check=True,
    )
    names = [name for name in listed.stdout.decode().split("\0") if name and (ROOT / name).is_file()]
    return [name for name in names if not ignored(name)]


def copy(value: str, image: Image) -> None:
    source, target = value.split()
    names = [name for name in context() if name == source or name.startswith(source.rstrip("/") + "/")]
    assert names, f"COPY {value}: nothing to copy"
    for name in names:
        to = (
            image.inside(target) / name.removeprefix(source) if source.endswith("/") else image.inside(target)
        )
        to.parent.mkdir(parents=True, exist_ok=True)
        shutil.copyfile(ROOT / name, to)


def build(root: Path) -> Image:
    """Follow the Dockerfile. What it installs is this environment, as the pins check sees to."""
    image = Image(root)
    for instruction, value in instructions():
        if instruction == "WORKDIR":
            image.workdir = value
            image.inside("").mkdir(parents=True, exist_ok=True)
        elif instruction == "COPY":
            copy(value, image)
        elif instruction == "ENV":
            for name, setting in re.findall(r"(\w+)=(\S+)", value):
                # Paths of the container are paths in its root here.
                image.environment[name] = f"{root}{setting}" if setting.startswith("/") else setting
        elif instruction == "RUN":
            image.runs.append(value)
            if value.startswith("python "):
                subprocess.run([sys.executable, *value.split()[1:]], cwd=image.inside(""), check=True)
        elif instruction == "HEALTHCHECK":
            image.healthcheck = json.loads(value.partition("CMD ")[2])
        elif instruction == "ENTRYPOINT":
            image.entrypoint = json.loads(value)
        elif instruction == "CMD":
            image.command = json.loads(value)
        else:
            assert instruction in ("FROM", "EXPOSE"), f"{instruction} is not followed by this test"
    return image


@pytest.fixture(scope="module")
def image(tmp_path_factory: pytest.TempPathFactory) -> Image:
    """The image, built by hand."""
    return build(tmp_path_factory.mktemp("image"))


class Container:
    """The image's own command, running in its folder with nothing but its environment."""

    def __init__(self, image: Image, arguments: list[str]) -> None:
        self._image = image
        self.port = free_port()
        self.environment = clean_environment(
            **image.environment,
            INFERENCE_PORT=str(self.port),
            INFERENCE_HOST="127.0.0.1",
            INFERENCE_THREADS="1",
        )
        assert image.entrypoint[0] == "python"
        with (image.root / "log").open("wb") as log:
            self.process = subprocess.Popen(
                [sys.executable, *image.entrypoint[1:], *arguments],
                cwd=image.inside(""),
                env=self.environment,
                stdout=log,
                stderr=log,
            )

    def health(self) -> int:
        """The exit code of the image's health check."""
        assert self._image.healthcheck[0] == "python"
        done = subprocess.run(
            [sys.executable, *self._image.healthcheck[1:]],
            cwd=self._image.root,
            env=self.environment,
            capture_output=True,
            timeout=30,
            check=False,
        )
        return done.returncode

    def ping(self) -> int:
        try:
            return ask(self.port, "GET", "/ping").status
        except OSError:
            return 0

    def log(self) -> str:
        return (self._image.root / "log").read_text()


@pytest.fixture
def container(image: Image) -> Iterator[Container]:
    """The image, started as SageMaker does."""
    started = Container(image, ["serve"])
    yield started
    started.process.kill()
    started.process.wait()


def test_it_is_started_without_a_shell_and_by_one_word() -> None:
    found = dict(instructions())
    assert json.loads(found["ENTRYPOINT"])[0] == "python"
    assert json.loads(found["CMD"]) == ["serve"]
    # SageMaker needs root; a user of our own would not be able to read what it mounts.
    assert "USER" not in found


def test_everything_that_is_installed_is_pinned_and_leaves_no_cache(image: Image) -> None:
    base = dict(instructions())["FROM"]
    assert re.fullmatch(r"python:3\.11\.\d+-slim-[a-z]+", base), base
    packages = [run for run in image.runs if "pip install" in run]
    assert len(packages) == 1
    assert packages[0].endswith("pip install --no-cache-dir -r inference/requirements.txt")
    system = [run for run in image.runs if "apt-get install" in run]
    assert all("rm -rf /var/lib/apt/lists/*" in run for run in system)
    assert len(image.runs) == len(packages) + len(system) + 1


def test_only_the_package_is_in_it(image: Image) -> None:
    copied = {f.relative_to(image.root).as_posix() for f in image.root.rglob("*") if f.suffix != ".pyc"}
    files = {name for name in copied if (image.root / name).is_file()}
    assert {name.split("/")[2] for name in files if name.startswith("opt/program/")} == {"inference"}
    assert all(name.startswith("opt/program/inference/") for name in files - {"log"})
    for left_out in ("Dockerfile", "Dockerfile.dockerignore", "requirements-dev.txt"):
        assert f"opt/program/inference/{left_out}" not in files
    assert "opt/program/inference/serve.py" in files
    # Compiled, so that a start does not do it.
    assert list((image.root / "opt/program/inference/__pycache__").glob("serve.*.pyc"))


@pytest.mark.slow
@pytest.mark.timeout(300)
def test_the_image_starts_serves_and_stops(container: Container) -> None:
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
    # The output check came with it.
    assert 0 <= image["nsfw"] < 0.5
    assert image["withheld"] is None

    container.process.send_signal(signal.SIGTERM)
    assert container.process.wait(30) == 0
    assert container.health() == 1


def test_without_its_word_it_says_what_it_takes(image: Image) -> None:
    started = Container(image, ["train"])
    deadline = time.monotonic() + 60
    while started.process.poll() is None and time.monotonic() < deadline:
        time.sleep(0.05)
    assert started.process.poll() == 2
    assert "invalid choice: 'train'" in started.log()


def test_the_bundled_model_stands_in_only_for_an_empty_folder(
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
