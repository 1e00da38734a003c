"""A stub model server that follows docs/contracts.md without a model: `python -m tests.stub.model`.

The local endpoint starts it in place of `inference.serve`. A picture has one color that depends on its seed. Progress,
previews and cancel markers are real objects in the outputs bucket.
"""

from __future__ import annotations

import io
import json
import os
import signal
import time
from datetime import UTC, datetime
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

import boto3
from botocore.config import Config
from botocore.exceptions import ClientError
from PIL import Image as Pillow

from tests.endpoint import answer_to, picture

STEP_S = 0.02
REQUIRED = {
    "prompt",
    "negative_prompt",
    "width",
    "height",
    "num_inference_steps",
    "guidance_scale",
    "scheduler",
    "seed",
    "num_images_per_prompt",
}
OPTIONAL = {"deadline_s", "job", "image", "strength", "mask", "loras"}
PREVIEW_PX = 64


class Refused(Exception):
    """The payload violates the contract; `param` is the field, or None if required fields are missing."""

    def __init__(self, message: str, param: str | None = None) -> None:
        super().__init__(message)
        self.param = param


class Report:
    """The objects of one job in the outputs bucket. Does nothing if the payload names no job."""

    def __init__(self, s3: Any, job: dict[str, Any] | None, steps: int) -> None:
        self._s3 = s3
        self._job = job
        self._steps = steps
        self._began = datetime.now(UTC).isoformat()

    def step(self, step: int, preview: bytes) -> None:
        """Writes the progress and the preview (two PutObject calls)."""
        if self._job is None:
            return
        progress = {
            "step": step,
            "steps": self._steps,
            "started_at": self._began,
            "updated_at": datetime.now(UTC).isoformat(),
        }
        stem = f"{self._job['prefix']}/{self._job['attempt']}"
        bucket = self._job["bucket"]
        self._s3.put_object(Bucket=bucket, Key=f"{stem}.progress.json", Body=json.dumps(progress))
        self._s3.put_object(Bucket=bucket, Key=f"{stem}.preview.webp", Body=preview, ContentType="image/webp")

    def canceled(self) -> bool:
        """Returns whether the cancel marker exists (one HeadObject call)."""
        if self._job is None:
            return False
        try:
            self._s3.head_object(Bucket=self._job["bucket"], Key=f"{self._job['prefix']}/cancel")
        except ClientError:
            return False
        return True


def draw(payload: dict[str, Any], s3: Any) -> dict[str, Any]:
    """Returns the answer to a payload after STEP_S per step. Raises Refused."""
    fields = set(payload)
    if unknown := sorted(fields - REQUIRED - OPTIONAL):
        raise Refused(f"{unknown[0]} is not a field of a request", unknown[0])
    if missing := sorted(REQUIRED - fields):
        raise Refused(f"missing: {', '.join(missing)}")
    steps = payload["num_inference_steps"]
    report = Report(s3, payload.get("job"), steps)
    preview = io.BytesIO()
    Pillow.open(io.BytesIO(picture(PREVIEW_PX, PREVIEW_PX, payload["seed"]))).save(preview, "WEBP")
    for step in range(steps):
        if step % 8 == 0:
            report.step(step, preview.getvalue())
            if report.canceled():
                return {"status": "canceled", "step": step, "gpu_s": step * STEP_S}
        time.sleep(STEP_S)
    return answer_to(payload)


class Handler(BaseHTTPRequestHandler):
    """Serves /ping and /invocations."""

    s3: Any = None

    def do_GET(self) -> None:
        self._answer(200, b"")

    def do_POST(self) -> None:
        payload = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
        try:
            status, answer = 200, draw(payload, self.s3)
        except Refused as exc:
            error = {"code": "invalid_request", "message": str(exc), "param": exc.param}
            status, answer = 400, {"error": error}
        self._answer(status, json.dumps(answer).encode())

    def _answer(self, status: int, body: bytes) -> None:
        self.send_response(status)
        self.send_header("Content-Type", "application/json")
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, format: str, *args: object) -> None:
        """Logs nothing: the local endpoint logs its requests."""


def main() -> None:
    """Serves until SIGTERM."""
    signal.signal(signal.SIGTERM, lambda *_: os._exit(0))
    Handler.s3 = boto3.client("s3", config=Config(signature_version="s3v4", s3={"addressing_style": "path"}))
    address = (os.environ["INFERENCE_HOST"], int(os.environ["INFERENCE_PORT"]))
    ThreadingHTTPServer(address, Handler).serve_forever()


if __name__ == "__main__":
    main()
