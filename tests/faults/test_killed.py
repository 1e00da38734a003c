"""Tests that a job completes and is charged exactly once when a process is killed during it."""

from __future__ import annotations

import os
import time
from collections.abc import Iterator

import pytest

from tests.running import RunningStudio

SLOW = {"prompt": "a red apple", "count": 2, "steps": 50, "width": 96, "height": 96}


@pytest.fixture(scope="module")
def running(tmp_path_factory: pytest.TempPathFactory) -> Iterator[RunningStudio]:
    studio = RunningStudio(tmp_path_factory.mktemp("killed") / "home", ATELIER_SWEEP_INTERVAL_S="2")
    studio.ask("POST", "/v1/jobs", {"prompt": "a rocket"}, Prefer="wait=60")
    yield studio
    studio.stop()


def gone(pid: int) -> bool:
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return True
    return False


@pytest.mark.slow
@pytest.mark.timeout(600)
@pytest.mark.parametrize("part", ["worker", "local endpoint", "studio"])
def test_a_job_completes_once_after_a_process_is_killed(running: RunningStudio, part: str) -> None:
    before = running.ask("GET", "/v1/usage")
    images_before = {image["id"] for image in running.ask("GET", "/v1/images?limit=100")["data"]}
    job = running.ask("POST", "/v1/jobs", SLOW)
    running.wait_for_job(job["id"], "processing")
    pid = running.kill_part(part)
    done = running.wait_for_job(job["id"], "succeeded")
    deadline = time.monotonic() + 10
    while not gone(pid) and time.monotonic() < deadline:
        time.sleep(0.1)
    assert gone(pid), "the fault must have fired"
    assert running.processes()[part] != pid
    assert len(done["output"]) == 2
    images = {image["id"] for image in running.ask("GET", "/v1/images?limit=100")["data"]}
    assert images - images_before == {image["id"] for image in done["output"]}
    after = running.ask("GET", "/v1/usage")
    spent = after["spent_month_usd"] - before["spent_month_usd"]
    assert spent == pytest.approx(done["metrics"]["cost_usd"], abs=2e-6)
    assert after["images_today"] - before["images_today"] == 2
    assert after["open_jobs"] == 0
