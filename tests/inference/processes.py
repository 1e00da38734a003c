"""Server processes for the tests: the inference server and an S3 server, both on loopback."""

from __future__ import annotations

import json
import os
import signal
import socket
import subprocess
import sys
from pathlib import Path
from typing import Any

from tests.inference.client import ask, wait_until

ROOT = Path(__file__).resolve().parents[2]
MINISTACK = ROOT / ".venvs/cloud/bin/ministack"


def free_port() -> int:
    """Return a port that was just free on loopback."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port: int = probe.getsockname()[1]
        return port


def clean_environment(**more: str) -> dict[str, str]:
    """Return the environment without variables of AWS and of the server, plus `more`."""
    kept = {k: v for k, v in os.environ.items() if not k.startswith(("AWS_", "INFERENCE_", "ATELIER_"))}
    return {**kept, "AWS_EC2_METADATA_DISABLED": "true", **more}


class ServerProcess:
    """`python -m inference.serve serve`, with its log in a file."""

    def __init__(self, model_dir: Path, log_file: Path, **environment: str) -> None:
        self._log_file = log_file
        with log_file.open("wb") as log:
            self.process = subprocess.Popen(
                [sys.executable, "-m", "inference.serve", "serve"],
                cwd=ROOT,
                stdout=subprocess.DEVNULL,
                stderr=log,
                env=clean_environment(
                    **{
                        "INFERENCE_MODEL_DIR": str(model_dir),
                        "INFERENCE_HOST": "127.0.0.1",
                        "INFERENCE_PORT": "0",
                        "INFERENCE_THREADS": "1",
                        **environment,
                    }
                ),
            )

    @property
    def port(self) -> int:
        """The port from the server's log."""
        event = wait_until(lambda: self.event("listening") or self.process.poll(), "the server listens")
        assert isinstance(event, dict), f"the server ended: {self.log_text()}"
        return int(event["port"])

    def wait_ready(self) -> int:
        """Wait until /ping answers 200, and return the port."""
        port = self.port
        wait_until(
            lambda: self.process.poll() is not None or ask(port, "GET", "/ping").status == 200,
            "the model loads",
            # Importing torch and diffusers takes half a minute on a busy machine.
            timeout_s=180,
        )
        assert self.process.poll() is None, self.log_text()
        return port

    def log_text(self) -> str:
        """Everything written to stderr."""
        return self._log_file.read_text()

    def events(self) -> list[dict[str, Any]]:
        """The parsed lines of the log; a line that is not JSON fails the test."""
        # The last line may be incomplete.
        return [json.loads(line) for line in self.log_text().splitlines(keepends=True) if line.endswith("\n")]

    def event(self, name: str) -> dict[str, Any] | None:
        """Return the latest event with this name."""
        return next((e for e in reversed(self.events()) if e["event"] == name), None)

    def terminate(self) -> None:
        """Send SIGTERM."""
        self.process.send_signal(signal.SIGTERM)

    def wait(self, timeout_s: float = 30.0) -> int:
        """Wait for the exit, and return the exit code."""
        return self.process.wait(timeout_s)

    def stop(self) -> None:
        """Kill the process in any state."""
        self.process.kill()
        self.process.wait()


class ObjectStore:
    """A MiniStack process of which only S3 is used."""

    def __init__(self, folder: Path) -> None:
        self.port = free_port()
        self._log = (folder / "ministack.log").open("wb")
        self.process = subprocess.Popen(
            [MINISTACK],
            cwd=folder,
            stdout=self._log,
            stderr=self._log,
            env=clean_environment(
                GATEWAY_PORT=str(self.port),
                BIND_HOST="127.0.0.1",
                MINISTACK_HOST="localhost",
                IOT_MTLS_ENABLED="0",
                SFTP_ENABLED="0",
                STATE_DIR=str(folder / "state"),
                S3_DATA_DIR=str(folder / "s3"),
                AUTH="true",
            ),
        )

    @property
    def environment(self) -> dict[str, str]:
        """The environment variables with which boto3 finds it."""
        return {
            "AWS_ENDPOINT_URL": f"http://localhost:{self.port}",
            "AWS_REGION": "us-east-1",
            "AWS_ACCESS_KEY_ID": "test",
            "AWS_SECRET_ACCESS_KEY": "test",
        }

    def wait_ready(self) -> None:
        """Wait until it answers."""

        def answers() -> bool:
            try:
                return ask(self.port, "GET", "/_ministack/ready", timeout_s=5).status == 200
            except OSError:
                return False

        wait_until(answers, "MiniStack answers")

    def stop(self) -> None:
        """Kill the process."""
        self.process.kill()
        self.process.wait()
        self._log.close()
