"""The settings file of the local endpoint, read once and validated in full."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Annotated, Literal

from pydantic import BaseModel, ConfigDict, Field, ValidationError, model_validator

from local.sagemaker.locations import BadLocation, S3Location

REPOSITORY = Path(__file__).resolve().parents[2]

EndpointName = Annotated[str, Field(max_length=63, pattern=r"^[a-zA-Z0-9](-*[a-zA-Z0-9])*$")]
TopicArn = Annotated[str, Field(pattern=r"^arn:aws[a-z-]*:sns:[a-z0-9-]+:\d{12}:[A-Za-z0-9_-]+$")]
Port = Annotated[int, Field(ge=1, le=65_535)]


class ConfigError(Exception):
    """The settings file cannot be used; the message lists every problem, one per line."""


class _Strict(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid")


class EndpointConfig(_Strict):
    """Settings of one endpoint. `command` replaces the inference server as the container program."""

    name: EndpointName
    model_dir: Path
    output_path: str
    failure_path: str | None = None
    success_topic: TopicArn | None = None
    error_topic: TopicArn | None = None
    max_concurrency: int = Field(default=1, ge=1, le=1000)
    idle_stop_s: float = Field(default=300, gt=0)
    command: tuple[str, ...] | None = Field(default=None, min_length=1)

    @model_validator(mode="after")
    def _paths_are_in_s3(self) -> EndpointConfig:
        for path in (self.output_path, self.failure_path):
            if path is not None:
                try:
                    S3Location.parse_prefix(path)
                except BadLocation as exc:
                    raise ValueError(str(exc)) from exc
        return self


class InferenceConfig(_Strict):
    """How the container program is started. Endpoint i listens on `port` + i."""

    python: Path = Path(".venvs/inference/bin/python")
    port: Port = 11_501
    start_timeout_s: float = Field(default=120, gt=0)
    start_attempts: int = Field(default=3, ge=1, le=10)
    stop_grace_s: float = Field(default=30, gt=0, le=30)


class Config(_Strict):
    """Everything the local endpoint needs besides AWS_ENDPOINT_URL and credentials."""

    host: Literal["127.0.0.1", "localhost", "::1"] = "127.0.0.1"
    port: Port
    endpoints: tuple[EndpointConfig, ...] = Field(min_length=1)
    inference: InferenceConfig = InferenceConfig()
    state_dir: Path
    delivery_timeout_s: float = Field(default=60, gt=0)

    @model_validator(mode="after")
    def _names_are_unique(self) -> Config:
        names = [endpoint.name for endpoint in self.endpoints]
        if len(set(names)) != len(names):
            raise ValueError("two endpoints have the same name")
        return self


def load(path: Path) -> Config:
    """Return the settings in the JSON file at `path`. Raises ConfigError with one line per problem."""
    try:
        return Config.model_validate(json.loads(path.read_text(encoding="utf-8")))
    except OSError as exc:
        raise ConfigError(f"{path}: cannot be read: {exc.strerror}") from exc
    except (ValueError, RecursionError) as exc:
        if isinstance(exc, ValidationError):
            raise ConfigError("\n".join(_problems(path, exc))) from exc
        raise ConfigError(f"{path}: not JSON: {exc}") from exc


def in_repository(path: Path) -> Path:
    """Return `path` unchanged if it is absolute, otherwise relative to the checkout."""
    return path if path.is_absolute() else REPOSITORY / path


def _problems(path: Path, error: ValidationError) -> list[str]:
    return [
        f"{path}: {'.'.join(str(part) for part in problem['loc']) or 'file'}: {problem['msg']}"
        for problem in error.errors()
    ]
