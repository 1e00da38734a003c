"""The four processes of a studio on a laptop, with their commands and environments."""

from __future__ import annotations

import json
import os
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from local.home import Home
from local.processes import CLOUD_PYTHON, INFERENCE_PYTHON, LOOPBACK, ROOT, STUDIO_PYTHON, answers
from local.resources import MODEL, OUTPUTS_BUCKET, Resources, endpoint_name
from local.supervisor import Part
from services.catalogue.cards import Catalogue

# Only the launcher reads these, so the studio's settings need not know them.
SNAPSHOT_S = "ATELIER_SNAPSHOT_S"
IDLE_STOP_S = "ATELIER_IDLE_STOP_S"
START_TIMEOUT_S = "ATELIER_START_TIMEOUT_S"
DEFAULTS = {SNAPSHOT_S: 10.0, IDLE_STOP_S: 300.0, START_TIMEOUT_S: 120.0}
LOCAL_MODELS = "ATELIER_LOCAL_MODELS"

# A studio setting that also limits here how many requests the endpoint sends to the model server at once, as
# SageMaker's MaxConcurrentInvocationsPerInstance does: requests waiting there can be drawn in one batch.
CONCURRENCY = "ATELIER_DISPATCH_CONCURRENCY"
DEFAULT_CONCURRENCY = 4

CLOUD = "embedded cloud"
SAGEMAKER = "local endpoint"
WORKER = "worker"
STUDIO = "studio"

POCKET = ROOT / "inference/pocket/weights"


class OptionUnusable(Exception):
    """A launcher variable has an invalid value; the message is one line."""


@dataclass(frozen=True)
class Layout:
    """The home folder, ports, options and models of one studio."""

    home: Home
    port: int
    ports: Mapping[str, int]
    options: Mapping[str, float]
    # Model folders by card id.
    models: Mapping[str, Path]

    @property
    def url(self) -> str:
        return f"http://localhost:{self.port}"

    @property
    def cloud_url(self) -> str:
        return f"http://localhost:{self.ports['cloud']}"

    @property
    def sagemaker_url(self) -> str:
        return f"http://localhost:{self.ports['sagemaker']}"


def read_port(environment: Mapping[str, str]) -> int:
    """Return `PORT`, by default 8501. Raises OptionUnusable."""
    text = environment.get("PORT") or "8501"
    if not text.isdecimal() or not 1 <= int(text) <= 65535:
        raise OptionUnusable(f"PORT must be a number from 1 to 65535, not {text!r}")
    return int(text)


def read_options(environment: Mapping[str, str]) -> dict[str, float]:
    """Return the launcher's options, in seconds. Raises OptionUnusable."""
    options = {}
    for name, default in DEFAULTS.items():
        text = environment.get(name) or str(default)
        try:
            options[name] = float(text)
        except ValueError:
            options[name] = 0.0
        if not 0 < options[name] < 1e6:
            raise OptionUnusable(f"{name} must be a number of seconds above 0, not {text!r}")
    return options


def read_concurrency(environment: Mapping[str, str]) -> int:
    """Return `ATELIER_DISPATCH_CONCURRENCY`, by default 4. Raises OptionUnusable."""
    text = environment.get(CONCURRENCY) or str(DEFAULT_CONCURRENCY)
    if not text.isdecimal() or not 1 <= int(text) <= 1000:
        raise OptionUnusable(f"{CONCURRENCY} must be a number from 1 to 1000, not {text!r}")
    return int(text)


def read_local_models(environment: Mapping[str, str]) -> dict[str, Path]:
    """Return the folder of each model to offer, by card id: pocket and those in `ATELIER_LOCAL_MODELS`.

    The variable is a JSON object such as `{"sd-turbo": "/models/sd-turbo"}`; an entry for pocket replaces the folder
    in the repository. Raises OptionUnusable for other values, an id without a card, or a folder without a model.
    """
    text = environment.get(LOCAL_MODELS) or "{}"
    try:
        given = json.loads(text)
    except (ValueError, RecursionError):
        given = None
    if not isinstance(given, dict) or not all(isinstance(folder, str) for folder in given.values()):
        raise OptionUnusable(f"{LOCAL_MODELS} must be a JSON object of model ids and folders, not {text!r}")
    models = {MODEL: POCKET} | {model: Path(folder).absolute() for model, folder in given.items()}
    try:
        Catalogue.load(frozenset(models))
    except ValueError as exc:
        raise OptionUnusable(f"{LOCAL_MODELS}: {exc}") from exc
    for model, folder in models.items():
        if not (folder / "model_index.json").is_file():
            raise OptionUnusable(f"{LOCAL_MODELS}: the folder of {model} has no model_index.json: {folder}")
    return models


def base_environment(environment: Mapping[str, str]) -> dict[str, str]:
    """Return the caller's environment without anything that could lead to a real AWS account."""
    kept = {
        name: value
        for name, value in environment.items()
        if not name.startswith("AWS_") and name not in DEFAULTS and name != LOCAL_MODELS
    }
    no_proxy = ",".join(filter(None, [environment.get("NO_PROXY"), "localhost", LOOPBACK]))
    return {
        **kept,
        "AWS_CONFIG_FILE": "/dev/null",
        "AWS_SHARED_CREDENTIALS_FILE": "/dev/null",
        "NO_PROXY": no_proxy,
        "no_proxy": no_proxy,
        "PYTHONUNBUFFERED": "1",
    }


def studio_environment(layout: Layout, resources: Resources) -> dict[str, str]:
    """Return the environment of the studio and the worker, with limits and `AUTH_MODE` from the caller."""
    base = base_environment(os.environ)
    made = resources.studio_environment(
        public_url=layout.url,
        cookie_secret=layout.home.cookie_secret(),
        sagemaker_url=layout.sagemaker_url,
        models=tuple(layout.models),
    )
    return {
        **base,
        **made,
        "AUTH_MODE": base.get("AUTH_MODE") or made["AUTH_MODE"],
        CONCURRENCY: str(read_concurrency(base)),
    }


def cloud_part(layout: Layout, after_restart: Callable[[], None]) -> Part:
    """Return the embedded cloud, configured to accept the studio's pages."""
    port = layout.ports["cloud"]
    origins = [f"http://{host}:{layout.port}" for host in ("localhost", LOOPBACK)]
    return Part(
        CLOUD,
        [
            *(CLOUD_PYTHON, "-m", "local.cloud"),
            *("--port", str(port)),
            *("--folder", layout.home.cloud),
            *("--snapshot-s", str(layout.options[SNAPSHOT_S])),
            *(word for origin in origins for word in ("--origin", origin)),
        ],
        {**base_environment(os.environ), "AWS_SECRET_ACCESS_KEY": layout.home.aws_secret()},
        lambda: answers(port, "/_ministack/ready"),
        after_restart=after_restart,
        needed_by_others=True,
    )


def sagemaker_part(layout: Layout, resources: Resources) -> Part:
    """Return the local SageMaker endpoint, which starts the inference server on demand."""
    port = layout.ports["sagemaker"]
    config = layout.home.write_config("sagemaker.json", sagemaker_config(layout, resources))
    return Part(
        SAGEMAKER,
        [STUDIO_PYTHON, "-m", "local.sagemaker", "--config", config],
        {**base_environment(os.environ), **resources.aws_environment()},
        lambda: answers(port, "/_ready"),
        # The inference server finishes its current picture or returns it unfinished within 25 s.
        stop_timeout_s=30.0,
    )


def sagemaker_config(layout: Layout, resources: Resources) -> dict[str, Any]:
    """Return the settings for `python -m local.sagemaker`."""
    endpoints = [
        {
            "name": endpoint_name(model),
            "model_dir": str(folder),
            "output_path": f"s3://{OUTPUTS_BUCKET}/",
            "failure_path": f"s3://{OUTPUTS_BUCKET}/failures/",
            "success_topic": resources.success_topic_arn,
            "error_topic": resources.errors_topic_arn,
            "max_concurrency": read_concurrency(os.environ),
            "idle_stop_s": layout.options[IDLE_STOP_S],
        }
        for model, folder in layout.models.items()
    ]
    return {
        "host": LOOPBACK,
        "port": layout.ports["sagemaker"],
        "endpoints": endpoints,
        "inference": {
            "python": str(INFERENCE_PYTHON),
            "port": layout.ports["inference"],
            "start_timeout_s": layout.options[START_TIMEOUT_S],
        },
        "state_dir": str(layout.home.folder / "sagemaker"),
    }


def worker_part(environment: Mapping[str, str]) -> Part:
    """Return the worker; it serves no requests, so it is ready as soon as it runs."""
    return Part(WORKER, [STUDIO_PYTHON, "-m", "services.worker"], environment, lambda: True)


def studio_part(layout: Layout, environment: Mapping[str, str]) -> Part:
    """Return the studio process: pages and `/v1` on `PORT`."""
    return Part(
        STUDIO,
        [
            *(STUDIO_PYTHON, "-m", "streamlit", "run", "app/asgi.py"),
            *("--server.address", LOOPBACK),
            *("--server.port", str(layout.port)),
        ],
        environment,
        lambda: answers(layout.port, "/healthz"),
    )
