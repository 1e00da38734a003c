"""SageMaker asynchronous endpoints: invoke and describe them."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import UTC, datetime

from botocore.exceptions import (
    BotoCoreError,
    ClientError,
    ConnectionClosedError,
    ReadTimeoutError,
)

from services.aws.session import Client, error_code, passing, unavailable
from services.errors import InvalidRequest, InvokeUncertain
from services.records import EndpointInfo, EndpointState
from services.sentences import sentence

# InvokeEndpointAsync takes a body of at most this many bytes inline (botocore 1.44.5); more goes by S3.
MAX_INLINE_BYTES = 128_000
# Only these mean that the request can never be accepted.
FINAL = frozenset({"ValidationError", "ValidationException"})
ENDPOINT = sentence("The SageMaker endpoint")


@dataclass(frozen=True)
class Invocation:
    """One call, with either `body` or `input_uri`; its output is stored at `<output path>/<prefix>/<filename>`."""

    endpoint: str
    inference_id: str
    prefix: str
    filename: str
    ttl_s: int
    timeout_s: int
    body: bytes | None = None
    input_uri: str | None = None


class Endpoints:
    """The account's endpoints. Every method is one AWS call."""

    def __init__(self, runtime: Client, control: Client) -> None:
        self._runtime = runtime
        self._control = control

    def invoke(self, invocation: Invocation) -> str | None:
        """Queues the invocation with SageMaker; returns where a failure would be written, as an S3 URI.

        Raises Unavailable when it was surely not accepted, InvokeUncertain when the answer was lost and it may have
        been, InvalidRequest when the endpoint can never accept it.
        """
        source = (
            {"Body": invocation.body}
            if invocation.body is not None
            else {"InputLocation": invocation.input_uri}
        )
        try:
            answer = self._runtime.invoke_endpoint_async(
                EndpointName=invocation.endpoint,
                ContentType="application/json",
                Accept="application/json",
                InferenceId=invocation.inference_id,
                S3OutputPathExtension=invocation.prefix,
                Filename=invocation.filename,
                RequestTTLSeconds=invocation.ttl_s,
                InvocationTimeoutSeconds=invocation.timeout_s,
                **source,
            )
        except ClientError as exc:
            if passing(exc) or error_code(exc) not in FINAL:
                # Expired credentials or missing permissions are for the operator to fix; jobs must not fail for them.
                raise unavailable(ENDPOINT, exc) from exc
            raise InvalidRequest(
                sentence(
                    "The endpoint {endpoint} refuses the request: {message}",
                    endpoint=invocation.endpoint,
                    message=exc.response["Error"].get("Message", ""),
                ),
                code="endpoint_refused",
            ) from exc
        except (ReadTimeoutError, ConnectionClosedError) as exc:
            raise InvokeUncertain("The endpoint's answer was lost; the job may be running.") from exc
        except BotoCoreError as exc:
            raise unavailable(ENDPOINT, exc) from exc
        location = answer.get("FailureLocation")
        return str(location) if location else None

    def describe(self, model: str, endpoint: str) -> EndpointInfo:
        """Returns the endpoint's current state; UNKNOWN if it does not exist."""
        now = datetime.now(UTC)
        try:
            answer = self._control.describe_endpoint(EndpointName=endpoint)
        except (BotoCoreError, ClientError) as exc:
            if isinstance(exc, ClientError) and error_code(exc) == "ValidationException":
                return EndpointInfo(model=model, state=EndpointState.UNKNOWN, instances=0, read_at=now)
            if passing(exc):
                raise unavailable("SageMaker", exc) from exc
            raise
        variants = answer.get("ProductionVariants", [])
        current = sum(int(variant.get("CurrentInstanceCount", 0)) for variant in variants)
        desired = sum(int(variant.get("DesiredInstanceCount", 0)) for variant in variants)
        if current > 0 and desired > 0:
            state = EndpointState.READY
        elif current > 0:
            # Scaling to zero: an invocation now waits for a wake-up.
            state = EndpointState.COLD
        elif desired > 0 or answer.get("EndpointStatus") in {"Creating", "Updating", "SystemUpdating"}:
            state = EndpointState.STARTING
        else:
            state = EndpointState.COLD
        return EndpointInfo(model=model, state=state, instances=current, read_at=now)
