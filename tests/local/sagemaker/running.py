"""A `python -m local.sagemaker` process under test, driven by plain boto3."""

from __future__ import annotations

import http.client
import json
import os
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any, TypeVar

import boto3
from botocore.config import Config
from botocore.exceptions import ClientError

from local.processes import LOOPBACK, Child, answers, any_free_port
from local.resources import ACCESS_KEY_ID, OUTPUTS_BUCKET, REGION, RESULTS_QUEUE, SECRET_ACCESS_KEY
from tests.cloud import EmbeddedCloud

T = TypeVar("T")

OUTPUTS = OUTPUTS_BUCKET
SCRIPT = Path(__file__).with_name("container.py")
TOPIC = f"arn:aws:sns:{REGION}:000000000000"
WAIT_S = 15.0
# name -> startup mode of the scripted container, and settings of the endpoint
ENDPOINTS: dict[str, tuple[str, dict[str, Any]]] = {
    "plain": ("", {}),
    "wide": ("", {"max_concurrency": 3}),
    "brief": ("", {"idle_stop_s": 0.3}),
    "slow": ("slow", {}),
    "flaky": ("exit_once", {}),
    "broken": ("exit", {}),
    "mute": ("mute", {}),
}


def until(probe: Callable[[], T], timeout_s: float = WAIT_S) -> T:
    """Return the first truthy result of `probe`; fails after `timeout_s`."""
    deadline = time.monotonic() + timeout_s
    while not (value := probe()):
        assert time.monotonic() < deadline, f"no result within {timeout_s} s"
        time.sleep(0.03)
    return value


class RunningEndpoint:
    """The endpoint process, its settings, and the calls a studio would make to it."""

    def __init__(self, cloud: EmbeddedCloud, folder: Path, *, start: bool = True, **settings: Any) -> None:
        self.folder = folder
        self.port = any_free_port()
        self.url = f"http://{LOOPBACK}:{self.port}"
        self.queue_url = ""
        self.cloud = cloud
        self.child: Child | None = None
        first_port = any_free_port()
        self.settings: dict[str, Any] = {
            "port": self.port,
            "endpoints": [self._settings_of(name) for name in ENDPOINTS],
            "inference": {
                "python": sys.executable,
                "port": first_port,
                "start_timeout_s": 3,
                "start_attempts": 2,
            },
            "state_dir": str(folder / "state"),
            "delivery_timeout_s": 10,
            **settings,
        }
        keys = {"aws_access_key_id": ACCESS_KEY_ID, "aws_secret_access_key": SECRET_ACCESS_KEY}
        session = boto3.Session(region_name=REGION, **keys)
        config = Config(retries={"total_max_attempts": 1}, read_timeout=30)
        self.runtime: Any = session.client("sagemaker-runtime", endpoint_url=self.url, config=config)
        self.control: Any = session.client("sagemaker", endpoint_url=self.url, config=config)
        if start:
            self.start()

    def _settings_of(self, name: str) -> dict[str, Any]:
        mode, more = ENDPOINTS[name]
        (self.folder / name).mkdir(parents=True, exist_ok=True)
        return {
            "name": name,
            "model_dir": str(self.folder / name),
            "output_path": f"s3://{OUTPUTS}/",
            "failure_path": f"s3://{OUTPUTS}/failures/",
            "success_topic": f"{TOPIC}:atelier-success",
            "error_topic": f"{TOPIC}:atelier-errors",
            "command": [sys.executable, str(SCRIPT), str(self.folder / name), mode],
            **more,
        }

    def start(self) -> None:
        """Start the process and return when it is ready."""
        file = self.folder / "config.json"
        file.write_text(json.dumps(self.settings))
        environment = {
            **os.environ,
            "AWS_REGION": REGION,
            "AWS_DEFAULT_REGION": REGION,
            "AWS_ENDPOINT_URL": self.cloud.url,
            "AWS_ACCESS_KEY_ID": ACCESS_KEY_ID,
            "AWS_SECRET_ACCESS_KEY": SECRET_ACCESS_KEY,
        }
        command = [sys.executable, "-m", "local.sagemaker", "--config", str(file)]
        self.child = Child("the local endpoint", command, log=self.folder / "log", environment=environment)
        self.child.wait_ready(lambda: answers(self.port, "/_ready"), timeout_s=20)

    def log_text(self) -> str:
        """What the process has printed."""
        return (self.folder / "log").read_text()

    def stop(self) -> None:
        """Stop the process as the launcher does."""
        if self.child:
            self.child.stop()

    def kill(self) -> None:
        """Kill the process with SIGKILL."""
        assert self.child
        self.child.kill()

    def reset(self) -> None:
        """Empty the endpoint, stop its containers, and delete their records."""
        assert self.request("POST", "/_atelier/reset?stop=1")[0] == 204
        for name in ENDPOINTS:
            for file in (self.folder / name).iterdir():
                file.unlink()

    def clean_cloud(self) -> None:
        """Empty the outputs and the results queue; recreate all resources if another test removed one."""
        try:
            for key in self.keys():
                self.cloud.client("s3").delete_object(Bucket=OUTPUTS, Key=key)
            sqs = self.cloud.client("sqs")
            self.queue_url = sqs.get_queue_url(QueueName=RESULTS_QUEUE)["QueueUrl"]
            sqs.purge_queue(QueueUrl=self.queue_url)
        except ClientError:
            self.cloud.reset()
            self.queue_url = self.cloud.make_resources().results_queue_url

    def request(
        self, method: str, path: str, body: bytes = b"", headers: dict[str, str] | None = None
    ) -> tuple[int, dict[str, str], bytes]:
        """Send one request without boto3; return status, headers and body."""
        connection = http.client.HTTPConnection(LOOPBACK, self.port, timeout=20)
        connection.request(method, path, body, headers or {})
        answer = connection.getresponse()
        read = answer.read()
        connection.close()
        return answer.status, {name.lower(): value for name, value in answer.getheaders()}, read

    def invoke(self, name: str = "plain", *, do: str = "", id: str = "a", **more: Any) -> dict[str, Any]:
        """Call InvokeEndpointAsync with an inline body; `do` and lower-case keywords go to the container."""
        known = {key: more.pop(key) for key in list(more) if key[0].isupper()}
        body = json.dumps({"do": do, "id": id, **more}).encode()
        parameters = {
            "EndpointName": name,
            "Body": body,
            "InferenceId": id,
            "ContentType": "application/json",
        }
        answer: dict[str, Any] = self.runtime.invoke_endpoint_async(**{**parameters, **known})
        return answer

    def counters(self, name: str = "plain") -> dict[str, Any]:
        """The endpoint's counters."""
        counted: dict[str, Any] = json.loads(self.request("GET", "/_atelier/counters")[2])[name]
        return counted

    def seen(self, name: str = "plain", event: str = "begin") -> list[dict[str, Any]]:
        """The records its container wrote for an event."""
        file = self.folder / name / "seen.jsonl"
        lines = file.read_text().splitlines() if file.exists() else []
        return [noted for noted in map(json.loads, lines) if noted["event"] == event]

    def notices(self, count: int = 1, timeout_s: float = WAIT_S) -> list[dict[str, Any]]:
        """The next `count` notifications from the results queue, in order of arrival."""
        found: list[dict[str, Any]] = []
        deadline = time.monotonic() + timeout_s
        sqs, queue = self.cloud.client("sqs"), self.queue_url
        while len(found) < count:
            assert time.monotonic() < deadline, f"{len(found)} of {count} notifications arrived"
            answer = sqs.receive_message(QueueUrl=queue, MaxNumberOfMessages=1, WaitTimeSeconds=1)
            for message in answer.get("Messages", []):
                sqs.delete_message(QueueUrl=queue, ReceiptHandle=message["ReceiptHandle"])
                found.append(json.loads(message["Body"]))
        return found

    def object(self, location: str) -> tuple[bytes, str]:
        """Body and content type of the object at an S3 URI."""
        bucket, _, key = location.removeprefix("s3://").partition("/")
        answer = self.cloud.client("s3").get_object(Bucket=bucket, Key=key)
        return answer["Body"].read(), answer["ContentType"]

    def keys(self, bucket: str = OUTPUTS) -> list[str]:
        """All keys in the bucket."""
        answer = self.cloud.client("s3").list_objects_v2(Bucket=bucket)
        return [item["Key"] for item in answer.get("Contents", [])]

    def instances(self, name: str = "plain") -> tuple[int, int]:
        """Current and desired instance count."""
        variant = self.control.describe_endpoint(EndpointName=name)["ProductionVariants"][0]
        return variant["CurrentInstanceCount"], variant["DesiredInstanceCount"]
