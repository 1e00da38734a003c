"""Tests of `make run`: a whole studio is started, killed in several ways, and restarted."""

from __future__ import annotations

import http.client
import json
import os
import re
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from local.processes import LOOPBACK, ROOT, Child, answers, any_free_port

READY_TIMEOUT_S = 100.0
GONE_TIMEOUT_S = 40.0


class Run:
    """A studio started as `make run` starts it."""

    def __init__(self, home: Path, port: int) -> None:
        self.home, self.port = home, port
        self.child = self._start()

    def _start(self) -> Child:
        environment = {**os.environ, "ATELIER_HOME": str(self.home), "PORT": str(self.port)}
        self._from = self.output.stat().st_size if self.output.exists() else 0
        command = [sys.executable, "-m", "local.run"]
        return Child("make run", command, log=self.output, environment=environment)

    @property
    def output(self) -> Path:
        return self.home.with_suffix(".out")

    def said(self, pattern: str) -> bool:
        return re.search(pattern, self.output.read_text()[self._from :]) is not None

    def wait(self, condition: Callable[[], bool], *, timeout_s: float) -> None:
        self.child.wait_ready(condition, timeout_s=timeout_s)

    def wait_ready(self) -> None:
        self.wait(lambda: self.said("Atelier is ready"), timeout_s=READY_TIMEOUT_S)

    def restart(self) -> None:
        self.child = self._start()
        self.wait_ready()

    def file(self, name: str) -> Any:
        return json.loads((self.home / name).read_text())

    def pids(self) -> dict[str, int]:
        return {name: pid for name, (pid, _) in self.file("processes.json").items()}


@pytest.fixture(scope="module")
def hang_up_heard() -> Iterator[None]:
    """Restore SIGHUP's default: tests run under `nohup` ignore it, and the processes they start would inherit that."""
    before = signal.signal(signal.SIGHUP, signal.SIG_DFL)
    yield
    signal.signal(signal.SIGHUP, before)


@pytest.fixture(scope="module")
def started(hang_up_heard: None, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Run]:
    run = Run(tmp_path_factory.mktemp("run") / "home", any_free_port())
    try:
        run.wait_ready()
        yield run
    finally:
        run.child.stop(timeout_s=GONE_TIMEOUT_S)


@pytest.fixture
def run(started: Run) -> Run:
    """A running studio, restarted if the previous test stopped it."""
    if started.child.exit_code() is not None:
        started.restart()
    return started


def wait_gone(pids: dict[str, int]) -> None:
    deadline = time.monotonic() + GONE_TIMEOUT_S
    left = pids
    while left and time.monotonic() < deadline:
        left = {name: pid for name, pid in left.items() if alive(pid)}
        time.sleep(0.1)
    assert not left


def alive(pid: int) -> bool:
    try:
        return ") Z " not in Path(f"/proc/{pid}/stat").read_text()
    except FileNotFoundError:
        return False


def me(run: Run, key: str) -> tuple[int, dict[str, Any]]:
    connection = http.client.HTTPConnection(LOOPBACK, run.port, timeout=20)
    connection.request(
        "GET", "/v1/me", headers={"Authorization": f"Bearer {key}", "Host": f"localhost:{run.port}"}
    )
    answer = connection.getresponse()
    status, body = answer.status, json.loads(answer.read())
    connection.close()
    return status, body


def test_sign_in_details_are_printed_and_saved_and_the_keys_work(run: Run) -> None:
    credentials = run.file("credentials.json")
    assert credentials["url"] == f"http://localhost:{run.port}"
    assert (run.home / "credentials.json").stat().st_mode & 0o777 == 0o600
    printed = run.output.read_text()
    for role in ("maker", "admin"):
        person = credentials[role]
        assert set(person) == {"email", "password", "api_key"}
        assert all(value in printed for value in person.values())
        status, body = me(run, person["api_key"])
        assert (status, body["role"]) == (200, role)
    assert f"curl -sS {credentials['url']}/v1/jobs" in printed
    assert answers(run.port, "/")


def test_a_second_studio_in_the_same_home_is_refused_in_one_line(run: Run) -> None:
    ended = attempt(run.home, any_free_port())
    assert ended.returncode == 1
    assert re.fullmatch(r"atelier: another studio already runs in .*; stop it, or choose .*\n", ended.stderr)


def test_a_killed_process_is_restarted_and_reported(run: Run) -> None:
    before = run.pids()
    os.kill(before["worker"], signal.SIGKILL)
    run.wait(lambda: run.pids()["worker"] != before["worker"], timeout_s=30)
    assert run.said(
        r"worker ended \(killed by signal 9\); starting it again in 1 s, its log is .*worker\.log"
    )


def test_the_cloud_is_restarted_with_the_same_accounts_after_a_kill(run: Run) -> None:
    before = run.pids()
    os.kill(before["embedded cloud"], signal.SIGKILL)
    key = run.file("credentials.json")["maker"]["api_key"]
    run.wait(lambda: run.pids()["embedded cloud"] != before["embedded cloud"], timeout_s=30)
    run.wait(lambda: me(run, key)[0] == 200, timeout_s=30)
    assert run.file("credentials.json")["maker"]["api_key"] == key
    assert run.pids()["studio"] == before["studio"]


def test_kill_9_of_the_launcher_leaves_no_process_and_a_restart_keeps_all_settings(run: Run) -> None:
    pids, credentials, ports = run.pids(), run.file("credentials.json"), run.file("ports.json")
    assert len(pids) == 4
    # Kill only the launcher, as the kernel's out-of-memory killer would.
    os.kill(run.child.pid, signal.SIGKILL)
    run.child.wait_ended(timeout_s=10)
    wait_gone(pids)
    run.restart()
    assert run.file("credentials.json") == credentials
    assert run.file("ports.json") == ports
    assert me(run, credentials["admin"]["api_key"])[0] == 200


@pytest.mark.parametrize("number", [signal.SIGHUP, signal.SIGINT])
def test_a_signal_stops_the_whole_studio(run: Run, number: int) -> None:
    pids = run.pids()
    os.kill(run.child.pid, number)
    assert run.child.wait_ended(timeout_s=GONE_TIMEOUT_S) == 0
    wait_gone(pids)
    assert run.said("Stopped.")
    assert run.file("processes.json") == {}


def attempt(home: Path, port: int, **more: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "-m", "local.run"],
        cwd=ROOT,
        env={**os.environ, "ATELIER_HOME": str(home), "PORT": str(port), **more},
        capture_output=True,
        text=True,
        timeout=60,
    )


def test_a_port_in_use_is_reported_in_one_line(tmp_path: Path) -> None:
    with socket.socket() as taken:
        taken.bind((LOOPBACK, 0))
        taken.listen()
        port = taken.getsockname()[1]
        ended = attempt(tmp_path / "home", port)
    assert (ended.returncode, ended.stdout) == (1, "")
    assert ended.stderr == f"atelier: port {port} is in use; choose another with PORT=...\n"


@pytest.mark.parametrize(
    ("variables", "line"),
    [
        ({"PORT": "many"}, "PORT must be a number from 1 to 65535, not 'many'"),
        ({"PORT": "70000"}, "PORT must be a number from 1 to 65535, not '70000'"),
        ({"ATELIER_SNAPSHOT_S": "0"}, "ATELIER_SNAPSHOT_S must be a number of seconds above 0, not '0'"),
        ({"ATELIER_HOME": "/proc/home"}, "the studio's home /proc/home cannot be written"),
    ],
)
def test_an_invalid_variable_is_reported_in_one_line(
    tmp_path: Path, variables: dict[str, str], line: str
) -> None:
    ended = attempt(tmp_path / "home", any_free_port(), **variables)
    assert ended.returncode == 1
    assert ended.stderr.startswith(f"atelier: {line}")
    assert len(ended.stderr.splitlines()) == 1
