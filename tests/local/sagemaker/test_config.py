"""Tests of the settings file: every problem is reported, one per line, before anything starts."""

from __future__ import annotations

import json
import socket
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from local.processes import ROOT
from local.sagemaker.__main__ import _listen
from local.sagemaker.config import ConfigError, load

GOOD: dict[str, Any] = {
    "host": "127.0.0.1",
    "port": 10_501,
    "endpoints": [
        {
            "name": "atelier-pocket",
            "model_dir": "inference/pocket/weights",
            "output_path": "s3://atelier-outputs/",
            "failure_path": "s3://atelier-outputs/failures/",
            "success_topic": "arn:aws:sns:us-east-1:000000000000:atelier-success",
            "error_topic": "arn:aws:sns:us-east-1:000000000000:atelier-errors",
            "max_concurrency": 1,
            "idle_stop_s": 300,
        }
    ],
    "inference": {"python": ".venvs/inference/bin/python", "port": 11_501, "start_timeout_s": 120},
    "state_dir": "sagemaker",
}


def written(tmp_path: Path, settings: object) -> Path:
    """Write the settings to a file."""
    file = tmp_path / "config.json"
    file.write_text(json.dumps(settings))
    return file


def test_the_launchers_settings_are_read(tmp_path: Path) -> None:
    config = load(written(tmp_path, GOOD))

    assert config.port == 10_501
    assert config.endpoints[0].max_concurrency == 1
    assert config.inference.start_timeout_s == 120


def test_every_problem_is_reported_with_its_location(tmp_path: Path) -> None:
    endpoint = {**GOOD["endpoints"][0], "output_path": "/tmp/out", "idle_stop": 3}
    bad = {**GOOD, "host": "0.0.0.0", "endpoints": [endpoint], "port": "many"}

    with pytest.raises(ConfigError) as caught:
        load(written(tmp_path, bad))

    lines = str(caught.value).splitlines()
    for place in ("host:", "port:", "endpoints.0.idle_stop:"):
        assert any(place in line for line in lines), lines


@pytest.mark.parametrize("text", ["", "{", "[]", '{"port": 1}', pytest.param("[" * 100_000, id="nested")])
def test_a_file_without_valid_settings_is_refused(tmp_path: Path, text: str) -> None:
    file = tmp_path / "config.json"
    file.write_text(text)
    with pytest.raises(ConfigError):
        load(file)


def test_an_output_path_outside_s3_is_refused(tmp_path: Path) -> None:
    endpoint = {**GOOD["endpoints"][0], "output_path": "/tmp/out"}
    with pytest.raises(ConfigError, match="s3://bucket/prefix is wanted"):
        load(written(tmp_path, {**GOOD, "endpoints": [endpoint]}))


def test_two_endpoints_with_the_same_name_are_refused(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match="same name"):
        load(written(tmp_path, {**GOOD, "endpoints": GOOD["endpoints"] * 2}))


def test_a_missing_file_exits_with_status_2_and_a_one_line_message(tmp_path: Path) -> None:
    command = [sys.executable, "-m", "local.sagemaker", "--config", str(tmp_path / "none.json")]
    ended = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, timeout=20, check=False)

    assert ended.returncode == 2
    assert ended.stderr.splitlines() == [f"{tmp_path}/none.json: cannot be read: No such file or directory"]


def test_answers_on_a_kept_connection_are_sent_at_once(tmp_path: Path) -> None:
    config = load(written(tmp_path, GOOD))
    with (
        _listen(config.model_copy(update={"port": 0})) as listener,
        socket.create_connection(listener.getsockname()),
        listener.accept()[0] as accepted,
    ):
        assert accepted.getsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY) == 1
