"""Resolves a JumpStart model through the SageMaker SDK. The only file that imports the SDK."""

from __future__ import annotations

import json
from dataclasses import dataclass
from typing import Any

import boto3
from botocore import UNSIGNED
from botocore.config import Config
from botocore.exceptions import BotoCoreError, ClientError, ConnectionError, HTTPClientError
from sagemaker.core import (
    accept_types,
    content_types,
    environment_variables,
    image_uris,
    instance_types,
    model_uris,
    payloads,
)
from sagemaker.core.jumpstart.accessors import JumpStartModelsAccessor, SageMakerSettings
from sagemaker.core.jumpstart.exceptions import (
    DeprecatedJumpStartModelError,
    VulnerableJumpStartModelError,
)

from infra.jumpstart.errors import JumpStartError
from infra.jumpstart.variables import JumpStartModel, ModelData, PayloadForm

# The `sagemaker` release that contains our sagemaker-core: models state the minimum release they need.
# Without the other packages the SDK would identify itself as 3.0.0.
SDK_RELEASE = "3.27.0"
SCOPE = "inference"
# An example body that is a picture is stored in S3 and only referenced: `$s3<key>`.
S3_REFERENCE = "$s3"
CONNECT_TIMEOUT_S, READ_TIMEOUT_S, ATTEMPTS = 5, 20, 2


@dataclass(frozen=True)
class _Session:
    """The part of the SDK's session these calls need; the real one creates six clients and requires an account."""

    s3_client: Any
    boto_region_name: str


def resolve(model_id: str, version: str, region: str, instance_type: str | None = None) -> JumpStartModel:
    """Return the model as the SDK resolves it; reads the manifest and one specification from S3 at no cost.

    `version` may contain `*` for the newest match. `instance_type` defaults to the model's own choice.
    Raises `JumpStartError`: no network, no such model or region, or a model that Terraform alone cannot deploy.
    """
    SageMakerSettings.set_sagemaker_version(SDK_RELEASE)
    try:
        return _resolve(model_id, version, region, instance_type)
    except (ConnectionError, HTTPClientError) as exc:
        raise JumpStartError(
            f"JumpStart's bucket in {region} cannot be reached ({type(exc).__name__}), and nothing was written: "
            "this command needs the network once; its file can be kept and used without."
        ) from exc
    except ClientError as exc:
        code = exc.response.get("Error", {}).get("Code", "")
        raise JumpStartError(
            f"S3 refused to hand out JumpStart's description of {model_id}: {code}."
        ) from exc
    except (DeprecatedJumpStartModelError, VulnerableJumpStartModelError) as exc:
        raise JumpStartError(f"{model_id} {version} should not be deployed: {_one_line(exc)}") from exc
    except (BotoCoreError, KeyError, ValueError) as exc:
        # The SDK's own messages: unknown model (with the nearest name), version, region or instance type.
        raise JumpStartError(_one_line(exc)) from exc


def _resolve(model_id: str, version: str, region: str, instance_type: str | None) -> JumpStartModel:
    session = _Session(_s3_client(region), region)
    specs = JumpStartModelsAccessor.get_model_specs(
        region=region, model_id=model_id, version=version, s3_client=session.s3_client
    )
    asked: dict[str, Any] = {
        "model_id": model_id,
        # The version that `*` resolved to, so that all parts have the same version.
        "model_version": specs.version,
        "region": region,
        "sagemaker_session": session,
    }
    supported = list(instance_types.retrieve(scope=SCOPE, **asked))
    chosen = instance_type or instance_types.retrieve_default(scope=SCOPE, **asked)
    if chosen not in supported:
        raise JumpStartError(f"{model_id} does not run on {chosen}: choose one of {', '.join(supported)}.")
    arns = specs.hosting_model_package_arns or {}
    if arns and region not in arns:
        raise JumpStartError(
            f"{model_id} is not handed out in {region}: use one of {', '.join(sorted(arns))}."
        )
    timeouts = specs.deploy_kwargs or {}
    return JumpStartModel(
        model_id=model_id,
        version=specs.version,
        region=region,
        image_uri=image_uris.retrieve(framework=None, image_scope=SCOPE, instance_type=chosen, **asked),
        model_data=None if arns else _model_data(specs, chosen, asked),
        model_package_arn=arns.get(region),
        instance_type=chosen,
        instance_types=supported,
        environment=environment_variables.retrieve_default(
            instance_type=chosen, script=SCOPE, include_aws_sdk_env_vars=False, **asked
        ),
        network_isolation=bool(specs.inference_enable_network_isolation),
        volume_size_gb=specs.inference_volume_size,
        download_timeout_s=timeouts.get("model_data_download_timeout"),
        startup_timeout_s=timeouts.get("container_startup_health_check_timeout"),
        payload=_payload_form(model_id, asked),
    )


def _s3_client(region: str) -> Any:
    """Return a client for public buckets; signs requests if there are credentials, since some networks require it."""
    boto_session = boto3.Session(region_name=region)
    config = Config(
        connect_timeout=CONNECT_TIMEOUT_S,
        read_timeout=READ_TIMEOUT_S,
        retries={"total_max_attempts": ATTEMPTS, "mode": "standard"},
        signature_version=None if boto_session.get_credentials() else UNSIGNED,
    )
    return boto_session.client("s3", config=config)


def _model_data(specs: Any, instance_type: str, asked: dict[str, Any]) -> ModelData:
    if specs.use_inference_script_uri():
        raise JumpStartError(
            f"{specs.model_id} {specs.version} keeps its inference code apart from its weights, and only the SDK "
            "packs them together: choose a newer version, or another model."
        )
    uri = model_uris.retrieve(model_scope=SCOPE, instance_type=instance_type, **asked)
    archive = uri.endswith(".tar.gz")
    return ModelData(
        s3_uri=uri,
        s3_data_type="S3Object" if archive else "S3Prefix",
        compression_type="Gzip" if archive else "None",
        gated=bool(specs.gated_bucket),
    )


def _payload_form(model_id: str, asked: dict[str, Any]) -> PayloadForm:
    """Return the first example that is a prompt or JSON with a prompt; raises `JumpStartError` if there is none."""
    for example in payloads.retrieve_all_examples(**asked) or []:
        body, key = example.body, example.prompt_key or "prompt"
        is_text = isinstance(body, str) and not body.startswith(S3_REFERENCE)
        if is_text or (isinstance(body, dict) and isinstance(body.get(key), str)):
            return PayloadForm(
                content_type=example.content_type,
                accept=example.accept,
                content_types=list(content_types.retrieve_options(**asked)),
                accepts=list(accept_types.retrieve_options(**asked)),
                prompt_key=None if is_text else key,
                example_json=json.dumps(body, sort_keys=True),
            )
    raise JumpStartError(f"{model_id} has no example request with a prompt, so it does not draw from text.")


def _one_line(error: Exception) -> str:
    # The text of a KeyError is the repr of its message.
    text = str(error.args[0]) if isinstance(error, KeyError) and error.args else str(error)
    return " ".join(text.split())
