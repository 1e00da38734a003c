"""Tests of the snapshots of the embedded cloud's state: each is complete, or the previous one stays current."""

from __future__ import annotations

import json
import os
from pathlib import Path
from typing import Any

import pytest

from local.snapshots import SnapshotFailed, Snapshots


def encode(_: str, state: Any) -> str:
    return json.dumps(state)


def current(snapshots: Snapshots) -> dict[str, Any]:
    return {file.stem: json.loads(file.read_text()) for file in snapshots.current.glob("*.json")}


def test_an_unchanged_service_is_carried_over_from_the_previous_snapshot(tmp_path: Path) -> None:
    snapshots = Snapshots(tmp_path)
    snapshots.write({"sqs": 1, "sns": 1}, encode)
    snapshots.write({"sqs": 2}, encode)
    assert current(snapshots) == {"sqs": 2, "sns": 1}
    assert len(list(tmp_path.iterdir())) == 2


def test_a_state_that_cannot_be_written_leaves_the_last_snapshot_current(tmp_path: Path) -> None:
    snapshots = Snapshots(tmp_path)
    snapshots.write({"sqs": 1, "sns": 1}, encode)
    with pytest.raises(SnapshotFailed):
        snapshots.write({"sqs": 2, "sns": object()}, encode)
    assert current(snapshots) == {"sqs": 1, "sns": 1}


def test_a_half_written_snapshot_is_removed_at_the_next_start(tmp_path: Path) -> None:
    snapshots = Snapshots(tmp_path)
    snapshots.write({"sqs": 1}, encode)
    half = tmp_path / "g2"
    half.mkdir()
    (half / "sqs.json").write_text('{"cut')
    os.symlink("g2", tmp_path / "current.new")

    again = Snapshots(tmp_path)
    again.prepare()
    assert not half.exists()
    assert current(again) == {"sqs": 1}
    again.write({"sqs": 3}, encode)
    assert current(again) == {"sqs": 3}


def test_the_state_is_readable_by_its_owner_only(tmp_path: Path) -> None:
    snapshots = Snapshots(tmp_path)
    snapshots.write({"cognito": {}}, encode)
    assert (snapshots.current / "cognito.json").stat().st_mode & 0o077 == 0
