"""The Terraform variable `jumpstart_model`: its fields, as `variables.tf` beside this file declares them."""

from __future__ import annotations

import json
from dataclasses import asdict, dataclass
from typing import Any, Literal


@dataclass(frozen=True)
class ModelData:
    """Location of the weights, in terms of `aws_sagemaker_model.model_data_source.s3_data_source`."""

    s3_uri: str
    s3_data_type: Literal["S3Object", "S3Prefix"]
    compression_type: Literal["Gzip", "None"]
    # A gated model requires accepting its license in Terraform.
    gated: bool


@dataclass(frozen=True)
class PayloadForm:
    """The container's request form: content types of the example request and response, and all accepted types.

    `prompt_key` names the example's prompt field, or is None when the body is the prompt itself.
    `example_json` is the example's body as JSON text, because Terraform would require one type for all its fields.
    """

    content_type: str
    accept: str
    content_types: list[str]
    accepts: list[str]
    prompt_key: str | None
    example_json: str


@dataclass(frozen=True)
class JumpStartModel:
    """One model version in one region. Seconds and gigabytes are None where the model leaves them to SageMaker."""

    model_id: str
    version: str
    region: str
    image_uri: str
    model_data: ModelData | None
    model_package_arn: str | None
    instance_type: str
    instance_types: list[str]
    environment: dict[str, str]
    network_isolation: bool
    volume_size_gb: int | None
    download_timeout_s: int | None
    startup_timeout_s: int | None
    payload: PayloadForm


def render(model: JumpStartModel) -> str:
    """Return the text of a `.tfvars.json` file; deterministic."""
    values: dict[str, Any] = {"jumpstart_model": asdict(model)}
    return json.dumps(values, indent=2, sort_keys=True) + "\n"
