"""Tests that JumpStart models become Terraform variables; the real SDK reads a recorded manifest from a local S3."""

from __future__ import annotations

import hashlib
import json
import os
import shutil
import subprocess
import threading
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import pytest

ROOT = Path(__file__).resolve().parents[2]
PYTHON = ROOT / ".venvs/jumpstart/bin/python"
RECORDED = Path(__file__).parent / "recorded"
STABLE_DIFFUSION = "model-txt2img-stabilityai-stable-diffusion-v2-1-base"
LINEART = "huggingface-txt2img-conflictx-complex-lineart"
GPU_IMAGE = "huggingface-pytorch-inference:1.10.2-transformers4.17.0-gpu-py38-cu113-ubuntu20.04"

KEPT = {k: v for k, v in os.environ.items() if not k.startswith("AWS_") and k != "PYTHONPATH"}
# Runs the command repeatedly in one process: one line of JSON in, one line of JSON out.
DRIVER = """
import contextlib, io, json, os, sys
from infra.jumpstart.__main__ import main
for line in sys.stdin:
    asked = json.loads(line)
    os.environ.clear()
    os.environ.update(asked["environment"])
    out, err = io.StringIO(), io.StringIO()
    with contextlib.redirect_stdout(out), contextlib.redirect_stderr(err):
        code = main(asked["arguments"])
    print(json.dumps({"returncode": code, "stdout": out.getvalue(), "stderr": err.getvalue()}), flush=True)
"""


@dataclass(frozen=True)
class Done:
    """The exit code and output of the command."""

    returncode: int
    stdout: str
    stderr: str


Run = Callable[..., Done]


class Bucket(ThreadingHTTPServer):
    """Serves the recorded files as JumpStart's content buckets, and records the requests."""

    def __init__(self) -> None:
        super().__init__(("127.0.0.1", 0), BucketHandler)
        self.requested: list[str] = []
        self.signed = False
        self.refuse = False

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.server_address[1]}"


class BucketHandler(BaseHTTPRequestHandler):
    """Answers GET like S3."""

    server: Bucket

    def do_GET(self) -> None:
        self.server.requested.append(self.path)
        self.server.signed |= "Authorization" in self.headers
        bucket, _, key = self.path.lstrip("/").partition("/")
        file = RECORDED / key
        if self.server.refuse:
            self._answer(403, b"<Error><Code>AccessDenied</Code><Message>no</Message></Error>")
        elif bucket.startswith("jumpstart-cache-prod-") and file.is_file():
            self._answer(200, file.read_bytes())
        else:
            self._answer(404, b"<Error><Code>NoSuchKey</Code><Message>no</Message></Error>")

    def _answer(self, status: int, body: bytes) -> None:
        self.send_response(status)
        self.send_header("Content-Length", str(len(body)))
        self.send_header("ETag", f'"{hashlib.md5(body).hexdigest()}"')
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, *_: object) -> None:
        """Logs nothing."""


@pytest.fixture
def bucket() -> Iterator[Bucket]:
    """The running server."""
    server = Bucket()
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.05})
    thread.start()
    yield server
    server.shutdown()
    thread.join()
    server.server_close()


@pytest.fixture(scope="module")
def command() -> Iterator[subprocess.Popen[str]]:
    """One process with the SDK loaded, because loading it takes seconds."""
    process = subprocess.Popen(
        [PYTHON, "-c", DRIVER], cwd=ROOT, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True, env=KEPT
    )
    yield process
    process.communicate(timeout=60)
    assert process.returncode == 0


@pytest.fixture
def run(bucket: Bucket, command: subprocess.Popen[str], tmp_path: Path) -> Run:
    """Runs the command without an AWS account."""

    def start(*arguments: str, url: str | None = None, **more: str) -> Done:
        assert command.stdin is not None
        assert command.stdout is not None
        environment = account_less(tmp_path, url or bucket.url) | more
        command.stdin.write(json.dumps({"arguments": arguments, "environment": environment}) + "\n")
        command.stdin.flush()
        return Done(**json.loads(command.stdout.readline()))

    return start


def account_less(home: Path, url: str) -> dict[str, str]:
    return {
        **KEPT,
        "HOME": str(home),
        "AWS_EC2_METADATA_DISABLED": "true",
        "AWS_ENDPOINT_URL_S3": url,
    }


def resolved(done: Done) -> dict[str, Any]:
    assert done.returncode == 0, done.stderr
    values: dict[str, dict[str, Any]] = json.loads(done.stdout)
    assert list(values) == ["jumpstart_model"]
    return values["jumpstart_model"]


def refused(done: Done) -> str:
    """Returns the error line of a failed run, and checks that standard output is empty."""
    assert done.returncode == 1, done.stderr
    assert done.stdout == ""
    *_, line = done.stderr.splitlines()
    assert line.startswith("jumpstart: ")
    assert "Traceback" not in done.stderr
    return line


def test_a_model_becomes_terraform_variables(run: Run, bucket: Bucket) -> None:
    model = resolved(run(STABLE_DIFFUSION, "--region", "us-west-2"))
    payload = model.pop("payload")
    assert model == {
        "model_id": STABLE_DIFFUSION,
        # The newest version that this SDK supports, not 99.0.0.
        "version": "1.2.4",
        "region": "us-west-2",
        "image_uri": f"763104351884.dkr.ecr.us-west-2.amazonaws.com/{GPU_IMAGE}",
        "model_data": {
            "s3_uri": "s3://jumpstart-cache-prod-us-west-2/stabilityai-infer/prepack/v1.0.0/"
            f"infer-prepack-{STABLE_DIFFUSION}.tar.gz",
            "s3_data_type": "S3Object",
            "compression_type": "Gzip",
            "gated": False,
        },
        "model_package_arn": None,
        "instance_type": "ml.p3.2xlarge",
        "instance_types": ["ml.p3.2xlarge", "ml.g4dn.2xlarge", "ml.g5.2xlarge"],
        "environment": {
            "ENDPOINT_SERVER_TIMEOUT": "3600",
            "MODEL_CACHE_ROOT": "/opt/ml/model",
            "SAGEMAKER_ENV": "1",
            "SAGEMAKER_MODEL_SERVER_WORKERS": "1",
            "SAGEMAKER_PROGRAM": "inference.py",
        },
        "network_isolation": True,
        "volume_size_gb": 123,
        "download_timeout_s": 1200,
        "startup_timeout_s": 1200,
    }
    assert json.loads(payload.pop("example_json"))["prompt"] == "a cottage by a lake"
    assert payload == {
        "content_type": "application/json",
        "accept": "application/json;jpeg",
        "content_types": ["application/json", "application/x-text"],
        "accepts": ["application/json", "application/json;verbose", "application/json;jpeg"],
        "prompt_key": "prompt",
    }
    assert {path.split("/")[1] for path in bucket.requested} == {"jumpstart-cache-prod-us-west-2"}
    assert not bucket.signed


def test_a_model_may_take_plain_text_and_be_stored_under_a_prefix(run: Run) -> None:
    model = resolved(run(LINEART, "--region", "us-east-1", "--instance-type", "ml.g4dn.xlarge"))
    assert model["instance_type"] == "ml.g4dn.xlarge"
    assert model["image_uri"] == f"763104351884.dkr.ecr.us-east-1.amazonaws.com/{GPU_IMAGE}"
    assert model["model_data"] == {
        "s3_uri": "s3://jumpstart-cache-prod-us-east-1/huggingface-txt2img/"
        f"{LINEART}/artifacts/inference-prepack/v1.0.0/",
        "s3_data_type": "S3Prefix",
        "compression_type": "None",
        "gated": False,
    }
    payload = model["payload"]
    assert (payload["content_type"], payload["accept"]) == ("application/x-text", "application/json;jpeg")
    assert (payload["prompt_key"], payload["example_json"]) == (None, '"astronaut on a horse"')
    assert (model["volume_size_gb"], model["startup_timeout_s"]) == (None, None)


def test_a_model_package_replaces_the_weights(run: Run) -> None:
    model = resolved(run("stabilityai-sdxl-subscribed", "--region", "us-west-2"))
    assert model["model_data"] is None
    assert model["model_package_arn"].startswith("arn:aws:sagemaker:us-west-2:")
    line = refused(run("stabilityai-sdxl-subscribed", "--region", "us-east-1"))
    assert "not handed out in us-east-1: use one of us-west-2" in line


def test_requests_are_signed_where_there_are_credentials(run: Run, bucket: Bucket) -> None:
    resolved(run(STABLE_DIFFUSION, AWS_ACCESS_KEY_ID="test", AWS_SECRET_ACCESS_KEY="test"))
    assert bucket.signed


def test_the_output_file_is_written_to_its_path_and_is_reproducible(run: Run, tmp_path: Path) -> None:
    files = [tmp_path / "a" / "one.tfvars.json", tmp_path / "two.tfvars.json"]
    for file in files:
        assert run(STABLE_DIFFUSION, "--out", str(file)).returncode == 0
    assert files[0].read_bytes() == files[1].read_bytes()
    assert json.loads(files[0].read_text())["jumpstart_model"]["region"] == "us-east-1"


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ([STABLE_DIFFUSION + "x"], f"Did you mean to use model ID '{STABLE_DIFFUSION}'"),
        ([STABLE_DIFFUSION, "--version", "7.*"], "with version '7.*'"),
        (
            [STABLE_DIFFUSION, "--version", "99.0.0"],
            "upgrading your SageMaker library to at least version '99.0.0'",
        ),
        ([STABLE_DIFFUSION, "--version", "1.0.0"], "keeps its inference code apart from its weights"),
        ([STABLE_DIFFUSION, "--region", "mars-north-1"], "mars-north-1"),
        (
            [STABLE_DIFFUSION, "--instance-type", "ml.m5.large"],
            "choose one of ml.p3.2xlarge, ml.g4dn.2xlarge",
        ),
        (["model-txt2img-stabilityai-stable-diffusion-v1-4"], "no longer kept up"),
        (["pytorch-ic-mobilenet-v2"], "does not draw from text"),
    ],
    ids=["model", "version", "sdk", "script", "region", "instance", "deprecated", "pictures in"],
)
def test_an_unresolvable_model_is_reported_in_one_line(arguments: list[str], message: str, run: Run) -> None:
    assert message in refused(run(*arguments))


def test_the_command_line_reports_a_missing_network_in_one_line(tmp_path: Path) -> None:
    """Starts the command directly, not through `command`."""
    closed = Bucket()
    closed.server_close()
    done = subprocess.run(
        [PYTHON, "-m", "infra.jumpstart", STABLE_DIFFUSION],
        cwd=ROOT,
        env=account_less(tmp_path, closed.url),
        capture_output=True,
        text=True,
        timeout=100,
        check=False,
    )
    assert "cannot be reached" in refused(Done(done.returncode, done.stdout, done.stderr))
    assert done.stderr.count("\n") == 1


def test_without_a_network_no_file_is_written(run: Run, tmp_path: Path) -> None:
    file = tmp_path / "x.tfvars.json"
    # Its port refuses connections, because the server is closed.
    closed = Bucket()
    closed.server_close()
    line = refused(run(STABLE_DIFFUSION, "--out", str(file), url=closed.url))
    assert "jumpstart: JumpStart's bucket in us-east-1 cannot be reached (EndpointConnectionError)" in line
    assert not file.exists()


def test_a_refusal_by_s3_is_reported_with_its_code(run: Run, bucket: Bucket) -> None:
    bucket.refuse = True
    assert "AccessDenied" in refused(run(STABLE_DIFFUSION))
    assert bucket.requested


@pytest.mark.skipif(shutil.which("terraform") is None, reason="Terraform is not installed")
@pytest.mark.parametrize("model_id", [STABLE_DIFFUSION, LINEART])
def test_terraform_accepts_the_file_and_validates_its_values(model_id: str, run: Run, tmp_path: Path) -> None:
    def plan(file: Path) -> subprocess.CompletedProcess[str]:
        return subprocess.run(
            ["terraform", f"-chdir={tmp_path}", "plan", "-no-color", "-input=false", f"-var-file={file}"],
            capture_output=True,
            text=True,
            timeout=100,
            check=False,
        )

    shutil.copy(ROOT / "infra/jumpstart/variables.tf", tmp_path)
    file = tmp_path / "model.tfvars.json"
    assert run(model_id, "--out", str(file)).returncode == 0
    done = plan(file)
    assert done.returncode == 0, done.stdout + done.stderr

    values = json.loads(file.read_text())
    values["jumpstart_model"]["instance_type"] = "ml.t2.medium"
    values["jumpstart_model"]["payload"]["prompt_key"] = "text"
    file.write_text(json.dumps(values))
    done = plan(file)
    assert done.returncode == 1
    assert "must be one of instance_types" in " ".join(done.stderr.split())
    assert "must hold the field that payload.prompt_key" in " ".join(done.stderr.replace("│", "").split())
