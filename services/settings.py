"""The settings of one process: read once from the environment, immutable, with all problems reported at start."""

from __future__ import annotations

import os
from collections.abc import Mapping
from enum import StrEnum
from typing import Annotated, Any
from urllib.parse import urlsplit

from pydantic import (
    BaseModel,
    ConfigDict,
    Field,
    Json,
    SecretStr,
    ValidationError,
    model_validator,
)

PREFIX = "ATELIER_"
# boto3 and the sign-in mode use their well-known names.
UNPREFIXED = {"auth_mode": "AUTH_MODE", "aws_region": "AWS_REGION", "aws_endpoint_url": "AWS_ENDPOINT_URL"}


class SettingsError(Exception):
    """The environment is unusable; the message lists every problem, one per line."""


class AuthMode(StrEnum):
    COGNITO = "cognito"
    LOCAL = "local"


Name = Annotated[str, Field(min_length=1)]


class Settings(BaseModel):
    """All settings of a process, documented in `docs/contracts.md`."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    aws_region: Name
    aws_endpoint_url: str | None = None
    public_url: Annotated[str, Field(pattern=r"^https?://[^/]+$")]
    table: Name
    inputs_bucket: Name
    outputs_bucket: Name
    images_bucket: Name
    library_bucket: Name
    results_queue_url: Annotated[str, Field(pattern=r"^https?://")]
    endpoints: Annotated[Json[dict[str, str]], Field(min_length=1)]
    auth_mode: AuthMode = AuthMode.COGNITO
    cognito_pool_id: str = ""
    cognito_client_id: str = ""
    cognito_client_secret: SecretStr = SecretStr("")
    cognito_issuer: str = ""
    cognito_discovery_url: str = ""
    cognito_jwks_url: str = ""
    cognito_logout_url: str = ""
    cookie_secret: Annotated[SecretStr, Field(min_length=32)]
    user_daily_images: Annotated[int, Field(ge=1)] = 500
    user_monthly_usd: Annotated[float, Field(gt=0)] = 20.0
    studio_monthly_usd: Annotated[float, Field(gt=0)] = 200.0
    user_open_jobs: Annotated[int, Field(ge=1)] = 50
    dispatch_instances: Annotated[int, Field(ge=1)] = 1
    dispatch_concurrency: Annotated[int, Field(ge=1)] = 1
    job_ttl_s: Annotated[int, Field(ge=60, le=21600)] = 3600
    job_timeout_s: Annotated[int, Field(ge=1, le=3600)] = 900
    sweep_interval_s: Annotated[float, Field(gt=0)] = 15.0
    log_level: Annotated[str, Field(pattern="^(DEBUG|INFO|WARNING|ERROR)$")] = "INFO"

    @model_validator(mode="after")
    def _cognito_is_complete(self) -> Settings:
        if self.auth_mode is AuthMode.COGNITO:
            missing = [
                variable(name)
                for name in COGNITO_FIELDS
                if not (
                    value.get_secret_value() if isinstance(value := getattr(self, name), SecretStr) else value
                )
            ]
            if missing:
                raise ValueError(f"AUTH_MODE=cognito also needs {', '.join(missing)}")
        return self

    @property
    def dispatch_window(self) -> int:
        """How many jobs may be at the endpoint at once (DESIGN 4)."""
        return 4 * self.dispatch_instances * self.dispatch_concurrency

    @property
    def picture_origins(self) -> tuple[str, ...]:
        """Schemes and hosts of presigned links to pictures, previews, and uploads, for the Content-Security-Policy."""
        if self.aws_endpoint_url:
            parts = urlsplit(self.aws_endpoint_url)
            return (f"{parts.scheme}://{parts.netloc}",)
        buckets = (self.images_bucket, self.outputs_bucket, self.inputs_bucket)
        return tuple(f"https://{bucket}.s3.{self.aws_region}.amazonaws.com" for bucket in buckets)


COGNITO_FIELDS = (
    "cognito_pool_id",
    "cognito_client_id",
    "cognito_client_secret",
    "cognito_issuer",
    "cognito_discovery_url",
    "cognito_jwks_url",
    "cognito_logout_url",
)


def variable(field: str) -> str:
    """Returns the environment variable of a settings field."""
    return UNPREFIXED.get(field, PREFIX + field.upper())


def load_settings(env: Mapping[str, str] | None = None) -> Settings:
    """Reads the settings from `env` (the process environment when None).

    Raises SettingsError with one line for each missing, malformed or unknown `ATELIER_` variable.
    """
    source = os.environ if env is None else env
    known = {variable(field): field for field in Settings.model_fields}
    values: dict[str, Any] = {field: source[name] for name, field in known.items() if source.get(name)}
    problems = [
        f"{name}: unknown; known are the variables of docs/contracts.md"
        for name in sorted(source)
        if name.startswith(PREFIX) and name not in known and name not in OTHER_PROCESSES
    ]
    settings = None
    try:
        settings = Settings.model_validate(values)
    except ValidationError as exc:
        for error in exc.errors(include_url=False, include_input=False):
            name = variable(str(error["loc"][0])) if error["loc"] else ""
            text = "not set" if error["type"] == "missing" else error["msg"].removeprefix("Value error, ")
            problems.append(f"{name}: {text}" if name else text)
    if problems or settings is None:
        raise SettingsError("the settings cannot be used:\n  " + "\n  ".join(problems))
    return settings


# Read by the launcher, not by the studio; set in the same environment.
OTHER_PROCESSES = frozenset({"ATELIER_HOME"})
