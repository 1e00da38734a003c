"""Runs the embedded cloud for the tests: one real MiniStack per test process, reset before each test."""

from __future__ import annotations

import http.client
import os
import secrets
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

from local.processes import CLOUD_PYTHON, LOOPBACK, Child, answers, any_free_port
from local.resources import Resources, client_factory, make_resources
from local.signin import ADMINS, MAKERS, make_user, new_password

START_TIMEOUT_S = 30.0
PUBLIC_URL = "http://localhost:8501"


@dataclass(frozen=True)
class Person:
    """A user of the embedded Cognito; `user_id` is the studio's form of `sub`."""

    email: str
    password: str
    group: str
    sub: str

    @property
    def user_id(self) -> str:
        return self.sub.replace("-", "")


class EmbeddedCloud:
    """A running embedded cloud with its own folder."""

    def __init__(self, folder: Path, *, port: int | None = None, snapshot_s: float = 3600.0) -> None:
        """Starts the cloud and returns when it answers; `folder` may hold the state of an earlier run."""
        folder.mkdir(parents=True, exist_ok=True)
        self.folder = folder
        self.port = port or any_free_port()
        self.snapshot_s = snapshot_s
        self.url = f"http://localhost:{self.port}"
        self.child = self._start()

    def _start(self) -> Child:
        where = ["--port", str(self.port), "--folder", str(self.folder)]
        child = Child(
            "the embedded cloud",
            [
                CLOUD_PYTHON,
                "-m",
                "local.cloud",
                *where,
                "--snapshot-s",
                str(self.snapshot_s),
                "--allow-reset",
            ],
            log=self.folder / "cloud.log",
            environment=os.environ,
        )
        try:
            child.wait_ready(lambda: answers(self.port, "/_ministack/ready"), timeout_s=START_TIMEOUT_S)
        except BaseException:
            child.kill()
            raise
        return child

    @cached_property
    def client(self) -> Any:
        """Returns boto3 clients, as in `client("dynamodb")`; each is created once."""
        return client_factory(self.url)

    def make_resources(self, public_url: str = PUBLIC_URL) -> Resources:
        """Creates the studio's table, buckets, queues, topics and sign-in if missing, and returns them."""
        return make_resources(self.url, public_url=public_url, client=self.client)

    def make_person(self, resources: Resources, name: str, *, admin: bool = False) -> Person:
        """Creates a user `<name>@example.com` with a new password in the group `admins` or `makers`."""
        person = Person(
            email=f"{name}@example.com",
            password=new_password(),
            group=ADMINS if admin else MAKERS,
            sub="",
        )
        cognito, pool_id = self.client("cognito-idp"), resources.sign_in.pool_id
        sub = make_user(cognito, pool_id, email=person.email, password=person.password, group=person.group)
        return Person(person.email, person.password, person.group, sub)

    def reset(self) -> None:
        """Deletes all state in memory and on disk (takes milliseconds)."""
        self._post("/_ministack/reset")

    def save(self) -> None:
        """Takes a snapshot now."""
        self._post("/_atelier/snapshot")

    def _post(self, path: str) -> None:
        connection = http.client.HTTPConnection(LOOPBACK, self.port, timeout=30)
        connection.request("POST", path)
        answer = connection.getresponse()
        body = answer.read()
        connection.close()
        assert answer.status == 200, body

    def kill(self) -> None:
        """Kills the cloud like `kill -9`."""
        self.child.kill()

    def stop(self) -> None:
        """Stops the cloud cleanly, with a last snapshot."""
        self.child.stop()

    def restart(self) -> None:
        """Starts the cloud again on the same port and folder, after `kill` or `stop`."""
        self.child = self._start()


def studio_environment(
    resources: Resources, *, public_url: str = PUBLIC_URL, sagemaker_url: str = "http://localhost:1"
) -> dict[str, str]:
    """Returns all environment variables of `docs/contracts.md`, for `services.settings.load_settings`.

    Without `sagemaker_url`, connections to the endpoint are refused.
    """
    return resources.studio_environment(
        public_url=public_url, cookie_secret=secrets.token_hex(32), sagemaker_url=sagemaker_url
    )
