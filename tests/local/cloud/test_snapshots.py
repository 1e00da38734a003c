"""Generations of the small services' state: all files of one moment, or those of the one before."""

from __future__ import annotations

import json
import os
from pathlib import Path
from typing import Any

import pytest

from local.cloud.snapshots import MANIFEST, SnapshotFailed, Snapshots


def encode(_: str, state: Any) -> str:
    return json.dumps(state)


def current(snapshots: Snapshots) -> dict[str, Any]:
    return {file.stem: json.loads(file.read_text()) for file in snapshots.current.glob("*.json")}


def test_a_service_that_is_not_saved_again_is_carried_over_and_two_generations_are_kept(
    tmp_path: Path,
) -> None:
    snapshots = Snapshots(tmp_path)
    snapshots.write({"sqs": 1, "sns": 1}, encode)
    for value in (2, 3, 4):
        snapshots.write({"sqs": value}, encode)
    assert current(snapshots) == {"sqs": 4, "sns": 1}
    assert sorted(entry.name for entry in tmp_path.iterdir()) == ["g3", "g4"]


def test_a_state_that_cannot_be_written_leaves_the_last_one(tmp_path: Path) -> None:
    snapshots = Snapshots(tmp_path)
    snapshots.write({"sqs": 1, "sns": 1}, encode)
    with pytest.raises(SnapshotFailed):
        snapshots.write({"sqs": 2, "sns": object()}, encode)
    assert current(snapshots) == {"sqs": 1, "sns": 1}


def test_a_half_written_generation_is_removed_at_the_next_start(tmp_path: Path) -> None:
    snapshots = Snapshots(tmp_path)
    snapshots.write({"sqs": 1}, encode)
    half = tmp_path / "g2"
    half.mkdir()
    (half / "sqs.json").write_text('{"cut')

    said: list[str] = []
    again = Snapshots(tmp_path)
    again.prepare(said.append)
    assert not half.exists()
    assert said == []
    assert current(again) == {"sqs": 1}
    again.write({"sqs": 3}, encode)
    assert current(again) == {"sqs": 3}


@pytest.mark.parametrize("file", ["sqs.json", MANIFEST])
def test_a_damaged_generation_is_kept_and_the_one_before_is_used(tmp_path: Path, file: str) -> None:
    snapshots = Snapshots(tmp_path)
    snapshots.write({"sqs": 1}, encode)
    snapshots.write({"sqs": 200}, encode)
    damaged = tmp_path / "g2" / file
    damaged.write_bytes(damaged.read_bytes()[:-2])

    said: list[str] = []
    again = Snapshots(tmp_path)
    again.prepare(said.append)
    assert current(again) == {"sqs": 1}
    assert len(said) == 1 and "g2" in said[0] and "g1" in said[0]
    assert damaged.exists()


def test_a_generation_of_an_earlier_version_is_found_without_its_link(tmp_path: Path) -> None:
    old = tmp_path / "g41"
    old.mkdir()
    for service in ("dynamodb", "sqs"):
        (old / f"{service}.json").write_text("1")
    snapshots = Snapshots(tmp_path)
    said: list[str] = []
    snapshots.prepare(said.append)
    assert snapshots.legacy() == old == snapshots.current
    # Its tables are read once more if the start does not come to its end.
    snapshots.write({"sns": 1}, encode)
    assert current(snapshots) == {"sqs": 1, "sns": 1}
    snapshots.write({"sns": 2}, encode)
    assert not old.exists()
    assert said == []


def test_the_state_is_readable_by_its_owner_only(tmp_path: Path) -> None:
    snapshots = Snapshots(tmp_path)
    snapshots.write({"sqs": {}}, encode)
    assert [os.stat(file).st_mode & 0o077 for file in snapshots.current.iterdir()] == [0, 0]
