"""Tests of the studio's home: its lock, its ports and secrets, and one-line messages for problems."""

from __future__ import annotations

import json
import os
import signal
import socket
import subprocess
import sys
from pathlib import Path

import pytest

from local.home import Home, HomeUnusable
from local.processes import LOOPBACK, ROOT, Child, any_free_port

HOLD = (
    "import sys; from pathlib import Path; from local.home import Home\n"
    "home = Home(Path(sys.argv[1])); home.lock('http://localhost:8501'); print('held', flush=True); input()"
)


def test_a_home_locked_by_another_process_is_refused_with_its_id_and_address(tmp_path: Path) -> None:
    holder = subprocess.Popen(
        [sys.executable, "-c", HOLD, str(tmp_path)], cwd=ROOT, stdin=subprocess.PIPE, stdout=subprocess.PIPE
    )
    with holder:
        assert holder.stdout is not None
        assert holder.stdout.readline() == b"held\n"
        with pytest.raises(HomeUnusable, match=rf"process {holder.pid}, http://localhost:8501") as refused:
            Home(tmp_path).lock("http://localhost:9999")
        assert "\n" not in str(refused.value)
        holder.kill()
    # The lock ends with its process: no file has to be removed by hand.
    home = Home(tmp_path)
    home.lock("http://localhost:9999")
    home.close()


def test_a_full_disk_is_reported_in_one_line_with_the_free_and_needed_space(tmp_path: Path) -> None:
    with pytest.raises(
        HomeUnusable, match=r"is full: \d+ MB are free and 1000000000 MB are needed"
    ) as refused:
        Home(tmp_path, needed_bytes=10**15)
    assert "\n" not in str(refused.value)


def test_a_home_that_cannot_be_created_is_reported(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    with pytest.raises(HomeUnusable, match="cannot be written: Not a directory; choose another"):
        Home(tmp_path / "file" / "home")


@pytest.mark.parametrize("text", ["{", pytest.param("[" * 100_000, id="nested")])
def test_the_error_names_an_unreadable_file_in_the_home(tmp_path: Path, text: str) -> None:
    (tmp_path / "credentials.json").write_text(text)
    with pytest.raises(HomeUnusable, match=r"credentials\.json cannot be read"):
        Home(tmp_path).credentials("http://localhost:8501")


def test_ports_are_remembered_and_an_occupied_one_is_replaced(tmp_path: Path) -> None:
    home, studio = Home(tmp_path), 20_000 + any_free_port() % 10_000
    first = home.ports(studio)
    assert len({studio, *first.values()}) == 4
    assert home.ports(studio) == first
    with socket.socket() as occupied:
        occupied.bind((LOOPBACK, first["cloud"]))
        occupied.listen()
        second = home.ports(studio)
    assert second["cloud"] not in first.values()
    assert second["sagemaker"] == first["sagemaker"]


def test_port_numbers_past_the_last_one_wrap_around(tmp_path: Path) -> None:
    ports = Home(tmp_path).ports(65_000)
    assert all(1024 <= port <= 65_535 for port in ports.values())
    assert len(set(ports.values())) == 3


def test_secrets_are_created_once_and_readable_by_their_owner_only(tmp_path: Path) -> None:
    home = Home(tmp_path)
    secret, links, credentials = (
        home.cookie_secret(),
        home.aws_secret(),
        home.credentials("http://localhost:1"),
    )
    path = home.save_credentials(credentials)
    again = Home(tmp_path)
    assert again.cookie_secret() == secret and again.aws_secret() == links != secret
    assert again.credentials("http://localhost:2") == {**credentials, "url": "http://localhost:2"}
    assert credentials["maker"]["password"] != credentials["admin"]["password"]
    assert len(secret) >= 32
    assert path.stat().st_mode & 0o777 == 0o600
    assert (tmp_path / "secrets.json").stat().st_mode & 0o777 == 0o600


def test_only_leftover_processes_of_a_killed_studio_are_ended(tmp_path: Path) -> None:
    home = Home(tmp_path)
    sleep = [sys.executable, "-c", "import time; time.sleep(600)"]
    left, stranger = (
        Child(name, sleep, log=tmp_path / f"{name}.log", environment=os.environ)
        for name in ("left", "stranger")
    )
    try:
        home.remember_processes({"worker": left.pid, "studio": stranger.pid})
        noted = json.loads((tmp_path / "processes.json").read_text())
        # The process id of the ended studio was reused by another process.
        noted["studio"][1] -= 1
        (tmp_path / "processes.json").write_text(json.dumps(noted))
        assert home.end_leftovers() == ["worker"]
        left.wait_ended(timeout_s=5)
        assert left.exit_code() == -signal.SIGTERM
        assert stranger.exit_code() is None
        assert home.end_leftovers() == []
    finally:
        left.kill()
        stranger.kill()


def test_reset_removes_only_the_studios_files(tmp_path: Path) -> None:
    home = Home(tmp_path)
    home.save_credentials(home.credentials("http://localhost:1"))
    (tmp_path / "cloud").mkdir()
    (tmp_path / "holiday.jpg").write_bytes(b"mine")
    command = [sys.executable, "-m", "local.reset"]
    environment = {**os.environ, "ATELIER_HOME": str(tmp_path)}
    asked = subprocess.run(
        command, cwd=ROOT, env=environment, input="no\n", text=True, capture_output=True, timeout=30
    )
    assert (asked.returncode, (tmp_path / "cloud").exists()) == (1, True)
    done = subprocess.run([*command, "--yes"], cwd=ROOT, env=environment, capture_output=True, timeout=30)
    assert done.returncode == 0
    assert not (tmp_path / "cloud").exists()
    assert not (tmp_path / "credentials.json").exists()
    assert (tmp_path / "holiday.jpg").exists()
