"""A scripted SageMaker endpoint: accepts invocations and completes them when the test asks it to.

It replaces only the SageMaker clients; its outputs go to the real buckets of the embedded cloud.
"""

from __future__ import annotations

import base64
import hashlib
import io
import json
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

from PIL import Image as Pillow

REVISION = "0123456789ab"


@dataclass
class Accepted:
    """One accepted invocation."""

    inference_id: str
    prefix: str
    filename: str
    payload: dict[str, Any]
    ttl_s: int
    inline: bool

    @property
    def output_key(self) -> str:
        return f"{self.prefix}/{self.filename}"

    @property
    def failure_key(self) -> str:
        return f"failures/{self.prefix}/{self.filename.removesuffix('.json')}-error.out"


@dataclass
class ScriptedEndpoint:
    """The SageMaker calls that the studio makes, and the endpoint's work after them."""

    s3: Any
    outputs: str
    accepted: list[Accepted] = field(default_factory=list)
    refuse: list[Exception] = field(default_factory=list)
    lose_answers: list[Exception] = field(default_factory=list)
    instances: int = 1

    def invoke_endpoint_async(self, **request: Any) -> dict[str, Any]:
        """Accepts the invocation, unless a refusal is queued. A lost answer raises after the invocation is accepted."""
        if self.refuse:
            raise self.refuse.pop(0)
        body = request.get("Body")
        if body is None:
            bucket, _, key = request["InputLocation"].removeprefix("s3://").partition("/")
            body = self.s3.get_object(Bucket=bucket, Key=key)["Body"].read()
        taken = Accepted(
            inference_id=request["InferenceId"],
            prefix=request["S3OutputPathExtension"],
            filename=request["Filename"],
            payload=json.loads(body),
            ttl_s=request["RequestTTLSeconds"],
            inline="Body" in request,
        )
        self.accepted.append(taken)
        if self.lose_answers:
            raise self.lose_answers.pop(0)
        return {
            "InferenceId": taken.inference_id,
            "OutputLocation": f"s3://{self.outputs}/{taken.output_key}",
            "FailureLocation": f"s3://{self.outputs}/{taken.failure_key}",
        }

    def describe_endpoint(self, **_: Any) -> dict[str, Any]:
        """Reports `instances` instances in service."""
        variant = {"CurrentInstanceCount": self.instances, "DesiredInstanceCount": self.instances}
        return {"EndpointStatus": "InService", "ProductionVariants": [variant]}

    def complete(self, invocation: Accepted, change: Callable[[dict[str, Any]], object] | None = None) -> str:
        """Writes the output, modified by `change`, and returns the success notification."""
        answer = answer_to(invocation.payload)
        if change:
            change(answer)
        return self.write_output(invocation, json.dumps(answer).encode())

    def write_output(self, invocation: Accepted, body: bytes) -> str:
        """Writes `body` as the output and returns the success notification."""
        self.s3.put_object(Bucket=self.outputs, Key=invocation.output_key, Body=body)
        return notification(invocation, "Completed")

    def fail(self, invocation: Accepted, code: str = "model_error", status: str = "Failed") -> str:
        """Writes the failure object and returns the error notification."""
        body = json.dumps({"error": {"code": code, "message": "it broke", "param": None}}).encode()
        self.s3.put_object(Bucket=self.outputs, Key=invocation.failure_key, Body=body)
        return notification(invocation, status, failureReason="the container answered 500")

    def die(self, invocation: Accepted) -> str:
        """Fails like a killed container, without an error document; returns the error notification."""
        text = b"ModelError: The container program ended with status -9 while it worked."
        self.s3.put_object(Bucket=self.outputs, Key=invocation.failure_key, Body=text)
        return notification(invocation, "Failed", failureReason=text.decode())


def notification(invocation: Accepted, status: str, **more: str) -> str:
    """Returns the message that SNS delivers, as described in docs/contracts.md."""
    return json.dumps({"invocationStatus": status, "inferenceId": invocation.inference_id, **more})


def picture(width: int, height: int, seed: int) -> bytes:
    """Returns a PNG of one color that depends on the seed."""
    image = Pillow.new("RGB", (width, height), (seed % 256, seed // 256 % 256, 90))
    target = io.BytesIO()
    image.save(target, "PNG")
    return target.getvalue()


def answer_to(payload: dict[str, Any]) -> dict[str, Any]:
    """Returns a correct answer of the container to `payload`."""
    images = []
    for n in range(payload["num_images_per_prompt"]):
        seed = (payload["seed"] + n) % 2**32
        png = picture(payload["width"], payload["height"], seed)
        images.append(
            {
                "data": base64.b64encode(png).decode(),
                "format": "png",
                "seed": seed,
                "width": payload["width"],
                "height": payload["height"],
                "sha256": hashlib.sha256(png).hexdigest(),
                "nsfw": 0.01,
                "withheld": None,
            }
        )
    return {
        "status": "succeeded",
        "images": images,
        "hint": None,
        "model": {"name": "pocket", "revision": REVISION},
        "timings": {
            "queue_s": 0.0,
            "load_s": 0.0,
            "encode_text_s": 0.0,
            "denoise_s": 0.9,
            "decode_s": 0.1,
            "check_s": 0.0,
            "encode_s": 0.0,
            "total_s": 1.0,
        },
        "batch_pictures": len(images),
        "gpu_s": 1.0,
        "peak_memory_bytes": 0,
        "device": "cpu",
        "versions": {"torch": "2.13.0", "diffusers": "0.42.1"},
    }
