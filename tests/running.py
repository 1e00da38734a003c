"""Runs a whole studio as `make run` does, with its own home and port, for the browser and fault tests."""

from __future__ import annotations

import contextlib
import json
import os
import signal
import subprocess
import time
import urllib.error
import urllib.request
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from local.processes import ROOT, STUDIO_PYTHON, any_free_port
from local.resources import client_factory
from local.signin import ADMINS, MAKERS, make_user, new_password
from services.accounts.accounts import Accounts
from services.aws.session import make_clients
from services.aws.table import Table
from services.build import Studio, build
from services.settings import load_settings
from services.store.api_keys import ApiKeyStore
from services.store.profiles import ProfileStore

READY_S = 180.0
LAUNCHER = "local.run"
WITHOUT_A_MODEL = "tests.stub.studio"
# What the command lines of model servers contain.
MODEL_SERVERS = (b"inference.serve", b"tests.stub.model")


class RunningStudio:
    """`python -m local.run` with `home` and a free port, until `stop`.

    `launcher` names another module to start it: tests.stub.studio runs without a model.
    """

    def __init__(self, home: Path, *, launcher: str = LAUNCHER, **variables: str) -> None:
        """Starts the studio and returns when it is ready. Raises AssertionError."""
        self.home = home
        self._launcher = launcher
        self.port = any_free_port()
        self.url = f"http://localhost:{self.port}"
        self.output = home.with_suffix(".out")
        self._variables = variables
        self.start()

    def start(self) -> None:
        """Starts the studio with the state in its home, also after `stop` or `kill`. Returns when it is ready."""
        self.spawn()
        deadline = time.monotonic() + READY_S
        while "Atelier is ready" not in self.output.read_text():
            assert self._process.poll() is None, self.output.read_text()
            assert time.monotonic() < deadline, f"not ready: {self.output.read_text()}"
            time.sleep(0.1)
        self.credentials = json.loads((self.home / "credentials.json").read_text())

    def spawn(self) -> None:
        """Starts the launcher and returns at once."""
        environment = {
            **os.environ,
            "PORT": str(self.port),
            "ATELIER_HOME": str(self.home),
            **self._variables,
        }
        with self.output.open("wb") as output:
            self._process = subprocess.Popen(
                [STUDIO_PYTHON, "-m", self._launcher, "--leash"],
                cwd=ROOT,
                env=environment,
                stdin=subprocess.DEVNULL,
                stdout=output,
                stderr=subprocess.STDOUT,
                start_new_session=True,
            )

    def stop(self) -> int:
        """Stops the studio like Ctrl-C; returns the exit code."""
        self._process.send_signal(signal.SIGINT)
        return self._process.wait(60)

    def kill_part(self, name: str) -> int:
        """Kills one process like `kill -9`, by the launcher's name for it; returns its pid."""
        pid = self.processes()[name]
        os.kill(pid, signal.SIGKILL)
        return pid

    def welcome(self, name: str) -> None:
        """Replaces `credentials` with those of a new maker and a new admin, named after `name`.

        They have no data from earlier tests.
        """
        environment = self.environment()
        with pytest.MonkeyPatch.context() as patch:
            for variable, value in environment.items():
                patch.setenv(variable, value)
            settings = load_settings(environment)
            table = Table(make_clients(settings).dynamodb, settings.table)
            accounts = Accounts(ProfileStore(table), ApiKeyStore(table))
            cognito = client_factory(environment["AWS_ENDPOINT_URL"])("cognito-idp")
            [pool] = cognito.list_user_pools(MaxResults=10)["UserPools"]
            for role, groups in (("maker", (MAKERS,)), ("admin", (MAKERS, ADMINS))):
                person = {"email": f"{name}-{role}@example.com", "password": new_password()}
                for group in groups:
                    sub = make_user(cognito, pool["Id"], **person, group=group)
                user = accounts.sign_in(sub=sub, email=person["email"], groups=groups)
                person["api_key"] = accounts.create_key(user, "for tests").secret
                self.credentials[role] = person

    def environment(self) -> dict[str, str]:
        """Returns the environment variables of the studio process."""
        return dict(
            pair.decode().split("=", 1)
            for pair in _read(Path(f"/proc/{self.processes()['studio']}/environ")).split(b"\0")
            if b"=" in pair
        )

    @contextlib.contextmanager
    def services(self) -> Iterator[Studio]:
        """Yields the service layer over this studio's data, in this process."""
        environment = self.environment()
        with pytest.MonkeyPatch.context() as patch:
            for variable, value in environment.items():
                patch.setenv(variable, value)
            studio = build(load_settings(environment))
            try:
                yield studio
            finally:
                studio.close()

    def pids(self) -> list[int]:
        """Returns the pids of all running processes: the launcher, the parts, and the model servers."""
        home = f"ATELIER_HOME={self.home}".encode()
        return [
            int(entry.name)
            for entry in Path("/proc").iterdir()
            if entry.name.isdecimal() and home in _read(entry / "environ").split(b"\0")
        ]

    def kill(self) -> None:
        """Kills the launcher and everything it started at once, like `kill -9`."""
        while pids := self.pids():
            for pid in pids:
                with contextlib.suppress(ProcessLookupError):
                    os.kill(pid, signal.SIGKILL)
            self._process.poll()
            time.sleep(0.02)
        self._process.wait(10)

    def signal(self, number: int, *, group: bool = False) -> None:
        """Sends a signal to the launcher, or to its process group as a terminal does."""
        (os.killpg if group else os.kill)(self._process.pid, number)

    def wait_ended(self, timeout_s: float = 60.0) -> int:
        """Returns the launcher's exit code. Raises subprocess.TimeoutExpired."""
        return self._process.wait(timeout_s)

    def processes(self) -> dict[str, int]:
        """Returns the pids by name, as the launcher recorded them."""
        written = json.loads((self.home / "processes.json").read_text())
        return {name: int(pid) for name, (pid, _) in written.items()}

    def ports(self) -> dict[str, int]:
        """Returns the ports of the other servers."""
        ports: dict[str, int] = json.loads((self.home / "ports.json").read_text())
        return ports

    def ask(self, method: str, path: str, body: Any = None, **headers: str) -> Any:
        """Calls the API as the maker and returns its JSON; 4xx and 5xx raise urllib's HTTPError."""
        request = urllib.request.Request(
            f"{self.url}{path}",
            method=method,
            data=None if body is None else json.dumps(body).encode(),
            headers={
                "Authorization": f"Bearer {self.credentials['maker']['api_key']}",
                "Content-Type": "application/json",
                **{name.replace("_", "-"): value for name, value in headers.items()},
            },
        )
        with urllib.request.urlopen(request, timeout=90) as answer:
            return json.loads(answer.read() or b"null")

    def wait_for_job(self, job_id: str, *statuses: str, timeout_s: float = 180.0) -> Any:
        """Returns the job as soon as its status is one of `statuses`; tolerates outages of the studio."""
        deadline = time.monotonic() + timeout_s
        job: Any = None
        while time.monotonic() < deadline:
            try:
                job = self.ask("GET", f"/v1/jobs/{job_id}")
            except (urllib.error.URLError, ConnectionError, TimeoutError):
                job = None
            if job and job["status"] in statuses:
                return job
            time.sleep(0.2)
        raise AssertionError(f"the job did not become {statuses} in {timeout_s:.0f} s: {job}")

    def wake_model(self) -> None:
        """Starts the model server by drawing a picture."""
        job = self.ask("POST", "/v1/jobs", {"prompt": "a red apple", "steps": 1})
        self.wait_for_job(job["id"], "succeeded")

    @contextlib.contextmanager
    def model_held(self) -> Iterator[None]:
        """Pauses the model server, so that a job is still running when the block ends, however slow the block is."""
        home = f"ATELIER_HOME={self.home}".encode()
        pids = [
            int(entry.name)
            for entry in Path("/proc").iterdir()
            if entry.name.isdecimal()
            and any(server in _read(entry / "cmdline") for server in MODEL_SERVERS)
            and home in _read(entry / "environ").split(b"\0")
        ]
        assert pids, "no model server runs"
        for pid in pids:
            os.kill(pid, signal.SIGSTOP)
        try:
            yield
        finally:
            for pid in pids:
                os.kill(pid, signal.SIGCONT)

    def counters(self) -> Any:
        """Returns the counters of the local endpoint."""
        with urllib.request.urlopen(
            f"http://127.0.0.1:{self.ports()['sagemaker']}/_atelier/counters", timeout=10
        ) as answer:
            return json.loads(answer.read())["atelier-pocket"]


def _read(file: Path) -> bytes:
    """Reads a file of /proc; returns b"" if its process has ended or belongs to another user."""
    try:
        return file.read_bytes()
    except OSError:
        return b""
