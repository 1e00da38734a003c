"""A studio for measuring in one process: embedded cloud, local endpoint with pocket, services, worker."""

from __future__ import annotations

import json
import os
import secrets
import threading
from collections import Counter
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import Any

from local.processes import (
    CLOUD_PYTHON,
    INFERENCE_PYTHON,
    LOOPBACK,
    ROOT,
    STUDIO_PYTHON,
    Child,
    answers,
    any_free_port,
)
from local.resources import MODEL, OUTPUTS_BUCKET, Resources, endpoint_name, make_resources
from services.aws.session import Clients, make_clients
from services.aws.table import Table
from services.build import Studio, build
from services.records import User
from services.settings import load_settings
from services.store.jobs import JobStore
from services.worker import Worker

PUBLIC_URL = "http://localhost:8501"
MAKER = User(id="b" * 32, email="bench@example.com")


class CallCounter:
    """Counts AWS calls by service and operation while switched on, including retries."""

    def __init__(self, clients: Clients) -> None:
        self.calls: Counter[str] = Counter()
        for client in vars(clients).values():
            client.meta.events.register_first("before-send", self._count)

    def _count(self, event_name: str, **request: Any) -> None:
        _, service, operation = event_name.split(".")
        call = f"{service} {operation}"
        self.calls[call] += 1


class Stack:
    """A running stack: `studio` to call, a worker thread, and `counter` of all their AWS calls.

    `observer` reads jobs with a separate client, so that its reads are not counted.
    """

    def __init__(self, studio: Studio, counter: CallCounter, observer: JobStore) -> None:
        self.studio = studio
        self.counter = counter
        self.observer = observer


@contextmanager
def running_cloud(folder: Path, module: str = "local.cloud") -> Iterator[Resources]:
    """Runs the embedded cloud in `folder` with the studio's resources, and stops it at the end."""
    port = any_free_port()
    (folder / "cloud").mkdir()
    cloud = Child(
        "the embedded cloud",
        [
            *(CLOUD_PYTHON, "-m", module, "--port", str(port)),
            *("--folder", str(folder / "cloud"), "--snapshot-s", "10"),
        ],
        log=folder / "cloud.log",
        environment=os.environ,
    )
    try:
        cloud.wait_ready(lambda: answers(port, "/_ministack/ready"), timeout_s=30)
        yield make_resources(f"http://localhost:{port}", public_url=PUBLIC_URL)
    finally:
        cloud.stop()


@contextmanager
def running_stack(folder: Path, *, cloud: str = "local.cloud") -> Iterator[Stack]:
    """Starts everything in `folder` and stops it at the end; `cloud` is the module of the embedded cloud."""
    with ExitStack() as stack:
        stack.callback(os.environ.update, dict(os.environ))
        sagemaker_port = any_free_port()
        resources = stack.enter_context(running_cloud(folder, cloud))
        environment = resources.studio_environment(
            public_url=PUBLIC_URL,
            cookie_secret=secrets.token_hex(32),
            sagemaker_url=f"http://localhost:{sagemaker_port}",
        )
        os.environ.update(environment)
        config = folder / "sagemaker.json"
        config.write_text(json.dumps(_endpoint_config(folder, sagemaker_port, resources)))
        endpoint = Child(
            "the local endpoint",
            [STUDIO_PYTHON, "-m", "local.sagemaker", "--config", config],
            log=folder / "sagemaker.log",
            environment=os.environ,
        )
        stack.callback(endpoint.stop)
        endpoint.wait_ready(lambda: answers(sagemaker_port, "/_ready"), timeout_s=30)
        settings = load_settings(environment)
        clients = make_clients(settings)
        studio = build(settings, clients)
        stack.callback(studio.close)
        worker = Worker(studio, studio.results_queue, studio.metrics)
        thread = threading.Thread(target=_receive, args=(worker,), daemon=True)
        thread.start()
        stack.callback(thread.join, 30)
        stack.callback(worker.stop)
        observer = JobStore(Table(make_clients(settings).dynamodb, settings.table))
        yield Stack(studio, CallCounter(clients), observer)


def _receive(worker: Worker) -> None:
    while not worker.stopped:
        worker.receive_once()


def _endpoint_config(folder: Path, port: int, resources: Resources) -> dict[str, Any]:
    return {
        "host": LOOPBACK,
        "port": port,
        "endpoints": [
            {
                "name": endpoint_name(MODEL),
                "model_dir": str(ROOT / "inference/pocket/weights"),
                "output_path": f"s3://{OUTPUTS_BUCKET}/",
                "failure_path": f"s3://{OUTPUTS_BUCKET}/failures/",
                "success_topic": resources.success_topic_arn,
                "error_topic": resources.errors_topic_arn,
                "max_concurrency": 1,
                "idle_stop_s": 600,
            }
        ],
        "inference": {"python": str(INFERENCE_PYTHON), "port": any_free_port(), "start_timeout_s": 120},
        "state_dir": str(folder / "sagemaker"),
    }
