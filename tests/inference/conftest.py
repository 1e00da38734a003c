"""Fixtures of the container's tests: a tiny model, servers as threads and processes, and a real S3."""

from __future__ import annotations

import threading
from collections.abc import Callable, Hashable, Iterator, Sequence
from contextlib import ExitStack
from pathlib import Path
from typing import Any

import boto3
import pytest
import uvicorn
from botocore.config import Config

from inference.app import App
from inference.check import OutputGate
from inference.contract import ModelReference, Payload
from inference.engine import Engine
from inference.finishing import Finishing
from inference.pipelines.family import Drawing, Model, ModelLimits, Pixels, StepWatch
from inference.pipelines.found_model import find_model
from inference.pipelines.load_model import load_model
from inference.progress import ProgressReporter
from inference.serve import set_library_environment
from tests.inference.client import ask, wait_until
from tests.inference.processes import ObjectStore, ServerProcess

set_library_environment()


@pytest.fixture(scope="session")
def tiny_folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A model folder with random weights."""
    from tests.inference.tiny_model import make_tiny_model

    return make_tiny_model(tmp_path_factory.mktemp("models") / "tiny")


@pytest.fixture(scope="session")
def tiny_model(tiny_folder: Path) -> Model:
    """The tiny model, loaded in this process."""
    folder, _ = find_model(tiny_folder)
    return load_model(folder, threads=1)


@pytest.fixture(scope="session")
def pocket_model() -> Model:
    """The built-in model, loaded in this process."""
    folder, _ = find_model(Path(__file__).parents[2] / "inference/pocket/weights")
    return load_model(folder, threads=1)


@pytest.fixture(scope="session")
def tiny_limits(tiny_folder: Path) -> ModelLimits:
    """The limits of the tiny model."""
    return find_model(tiny_folder)[1]


class SteeredModel:
    """A real model that a test can pause at a step or make fail."""

    def __init__(self, model: Model) -> None:
        self._model = model
        self.reference: ModelReference = model.reference
        self.device: str = model.device
        self.threads: int = model.threads
        self.versions: dict[str, str] = model.versions
        self.max_batch: int = model.max_batch
        self.open = threading.Event()
        self.open.set()
        self.held = threading.Event()
        self.before_step: Callable[[int], None] = lambda step: None
        self.freed = 0
        self.passes: list[tuple[Payload, ...]] = []
        self.drawing: tuple[Payload, ...] = ()

    def warm_up(self) -> None:
        """Do nothing: the model is shared and already warm."""

    def free_memory(self) -> None:
        """Count the call, and free the real model's memory."""
        self.freed += 1
        self._model.free_memory()

    def hold(self) -> None:
        """Pause the model at its next step until `release`."""
        self.held.clear()
        self.open.clear()

    def release(self) -> None:
        """Let the model continue."""
        self.open.set()

    def batch_key(self, payload: Payload) -> Hashable | None:
        """Return the real model's key."""
        return self._model.batch_key(payload)

    def draw(self, payloads: Sequence[Payload], watch: StepWatch) -> list[Drawing | None]:
        """Draw with the real model, and record the requests of the pass."""
        self.drawing = tuple(payloads)
        self.passes.append(self.drawing)
        return self._model.draw(payloads, _SteeredWatch(self, watch))


class _SteeredWatch:
    def __init__(self, model: SteeredModel, watch: StepWatch) -> None:
        self._model = model
        self._watch = watch

    def on_step(self, step: int, preview: Callable[[int], Pixels]) -> frozenset[int]:
        if not self._model.open.is_set():
            self._model.held.set()
            assert self._model.open.wait(60), "a test never released the model"
        self._model.before_step(step)
        return self._watch.on_step(step, preview)


class LocalServer:
    """The whole server in this process, with a model that the test controls."""

    def __init__(
        self,
        model: SteeredModel,
        limits: ModelLimits,
        queue_size: int,
        stack: ExitStack,
        finishing: Finishing | None = None,
    ) -> None:
        self.model = model
        self.engine = Engine(
            load=lambda: model,
            queue_size=queue_size,
            reporter=ProgressReporter(),
            on_failed_start=lambda exc: None,
        )
        config = uvicorn.Config(
            App(self.engine, limits, finishing or Finishing(OutputGate(None))),
            host="127.0.0.1",
            port=0,
            log_config=None,
            lifespan="off",
            ws="none",
            timeout_graceful_shutdown=1,
        )
        self._server = uvicorn.Server(config)
        thread = threading.Thread(target=self._server.run, name="http")
        thread.start()
        stack.callback(thread.join, 20)
        stack.callback(self._stop)
        wait_until(lambda: self._server.started, "the server listens")
        self.port: int = self._server.servers[0].sockets[0].getsockname()[1]
        self.engine.start()
        wait_until(lambda: ask(self.port, "GET", "/ping").status == 200, "the model is ready")

    def _stop(self) -> None:
        self.model.release()
        self.engine.close()
        self._server.should_exit = True


@pytest.fixture
def local_server(tiny_model: Model, tiny_limits: ModelLimits) -> Iterator[Callable[..., LocalServer]]:
    """Start servers in this process: `local_server(queue_size=2)`."""
    with ExitStack() as stack:

        def start(queue_size: int = 4, max_batch: int = 8, finishing: Finishing | None = None) -> LocalServer:
            model = SteeredModel(tiny_model)
            model.max_batch = max_batch
            return LocalServer(model, tiny_limits, queue_size, stack, finishing)

        yield start


@pytest.fixture
def start_process(tmp_path: Path) -> Iterator[Callable[..., ServerProcess]]:
    """Start server processes: `start_process(folder, INFERENCE_QUEUE_SIZE="1")`."""
    started: list[ServerProcess] = []

    def start(model_dir: Path, **environment: str) -> ServerProcess:
        server = ServerProcess(model_dir, tmp_path / f"server-{len(started)}.log", **environment)
        started.append(server)
        return server

    yield start
    for server in started:
        server.stop()


@pytest.fixture(scope="session")
def shared_process(
    tiny_folder: Path, object_store: ObjectStore, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[ServerProcess]:
    """One server process for the tests that leave it as they find it."""
    server = ServerProcess(
        tiny_folder, tmp_path_factory.mktemp("shared") / "server.log", **object_store.environment
    )
    server.wait_ready()
    yield server
    server.stop()


@pytest.fixture(scope="session")
def object_store(tmp_path_factory: pytest.TempPathFactory) -> Iterator[ObjectStore]:
    """A real S3 server on loopback."""
    store = ObjectStore(tmp_path_factory.mktemp("s3"))
    try:
        store.wait_ready()
        yield store
    finally:
        store.stop()


@pytest.fixture(scope="session")
def s3(object_store: ObjectStore) -> Any:
    """A boto3 client of the S3 server, with the bucket `outputs`."""
    client = boto3.client(
        "s3",
        endpoint_url=object_store.environment["AWS_ENDPOINT_URL"],
        region_name="us-east-1",
        aws_access_key_id="test",
        aws_secret_access_key="test",
        config=Config(signature_version="s3v4", s3={"addressing_style": "path"}),
    )
    client.create_bucket(Bucket="outputs")
    return client


@pytest.fixture
def s3_environment(object_store: ObjectStore, s3: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    """Points this process's boto3 to the S3 server."""
    for name, value in object_store.environment.items():
        monkeypatch.setenv(name, value)
