"""Tests that killing or stopping the endpoint loses no request and leaves no container running."""

from __future__ import annotations

import json
import os
import resource
import signal
import socket
import subprocess
import sys
import time
from pathlib import Path

import pytest
from botocore.exceptions import ClientError

from local.processes import LOOPBACK
from local.sagemaker import tether
from local.sagemaker.journal import Entry, Journal
from local.sagemaker.wire import AsyncRequest
from tests.local.sagemaker.running import OUTPUTS, RunningEndpoint, until

pytestmark = [pytest.mark.wire, pytest.mark.faults]


def gone(pid: int) -> bool:
    """Return whether no process has this id; a zombie counts as gone."""
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] == "Z"
    except (FileNotFoundError, ProcessLookupError):
        return True


def request(id: str, **script: object) -> AsyncRequest:
    """A request with the shortest time to live, as the server would have parsed it."""
    return AsyncRequest(
        inference_id=id,
        body=json.dumps({"do": "", "id": id, **script}).encode(),
        input_location=None,
        content_type="application/json",
        accept=None,
        custom_attributes=None,
        extension=None,
        filename=None,
        ttl_s=60,
        timeout_s=900,
    )


def accepted(endpoint: RunningEndpoint, request: AsyncRequest, received_at: float) -> tuple[Journal, Entry]:
    """The journal of a stopped endpoint, with one request in it."""
    state = endpoint.folder / "state"
    state.mkdir(exist_ok=True)
    journal = Journal(state / "journal.sqlite", received_at)
    return journal, journal.accept("plain", received_at, request)


def test_kill_9_loses_no_accepted_request_and_leaves_no_container(own_endpoint: RunningEndpoint) -> None:
    own_endpoint.start()
    own_endpoint.invoke(id="before")
    own_endpoint.invoke(id="hanging", do="hang")
    ids = [f"r{n}" for n in range(5)]
    for id in ids:
        own_endpoint.invoke(id=id)
    until(lambda: len(own_endpoint.seen()) == 2)
    assert own_endpoint.notices()[0]["inferenceId"] == "before"
    container = own_endpoint.seen()[1]["pid"]

    own_endpoint.kill()

    until(lambda: gone(container), timeout_s=3)
    (own_endpoint.folder / "plain" / "calm").touch()
    own_endpoint.start()
    notices = own_endpoint.notices(6)
    assert [notice["inferenceId"] for notice in notices] == ["hanging", *ids]
    assert {notice["invocationStatus"] for notice in notices} == {"Completed"}
    counters = own_endpoint.counters()
    assert counters["by_inference_id"]["hanging"] == {
        "accepted": 1,
        "started": 2,
        "succeeded": 1,
        "failed": 0,
        "expired": 0,
    }
    assert (counters["accepted"], counters["succeeded"]) == (7, 7)


def test_a_request_past_its_ttl_is_reported_as_expired_and_never_run(own_endpoint: RunningEndpoint) -> None:
    journal, _ = accepted(own_endpoint, request("old"), time.time() - 61)
    journal.close()
    own_endpoint.start()

    [notice] = own_endpoint.notices()

    assert notice["invocationStatus"] == "Expired"
    assert notice["inferenceId"] == "old"
    assert "RequestTTLSeconds (60)" in notice["failureReason"]
    assert own_endpoint.seen() == []
    counters = own_endpoint.counters()
    assert (counters["expired"], counters["started"], counters["cold_starts"]) == (1, 0, 0)


def test_a_request_expires_on_time_behind_a_long_running_one(own_endpoint: RunningEndpoint) -> None:
    now = time.time()
    journal, _ = accepted(own_endpoint, request("long", do="sleep", seconds=3.5), now)
    journal.close()
    journal, _ = accepted(own_endpoint, request("late"), now - 58)
    journal.close()
    own_endpoint.start()

    assert [(n["inferenceId"], n["invocationStatus"]) for n in own_endpoint.notices(2)] == [
        ("late", "Expired"),
        ("long", "Completed"),
    ]


def test_a_finished_request_is_announced_but_not_run_again(own_endpoint: RunningEndpoint) -> None:
    journal, entry = accepted(own_endpoint, request("done"), time.time())
    journal.start("plain", entry.seq)
    journal.decide("plain", entry.seq, "succeeded", json.dumps({"inferenceId": "done"}))
    journal.close()
    own_endpoint.start()

    assert own_endpoint.notices() == [{"inferenceId": "done"}]
    assert own_endpoint.seen() == []
    assert own_endpoint.counters()["succeeded"] == 1
    assert own_endpoint.keys(OUTPUTS) == []


def test_sigterm_stops_the_container_and_keeps_unfinished_requests(own_endpoint: RunningEndpoint) -> None:
    own_endpoint.start()
    own_endpoint.invoke(id="hanging", do="hang")
    until(lambda: own_endpoint.seen())
    container = own_endpoint.seen()[0]["pid"]

    own_endpoint.stop()

    assert gone(container)
    assert len(own_endpoint.seen(event="term")) == 1
    journal = Journal(own_endpoint.folder / "state" / "journal.sqlite", 0)
    assert [entry.request.inference_id for entry in journal.pending("plain")] == ["hanging"]
    journal.close()


def test_requests_survive_a_temporary_outage_of_the_cloud(own_endpoint: RunningEndpoint) -> None:
    own_endpoint.start()
    own_endpoint.invoke(id="slow", do="sleep", seconds=0.5)
    until(lambda: own_endpoint.seen())
    own_endpoint.cloud.stop()
    try:
        until(lambda: own_endpoint.seen(event="end"))
        # A socket in the cloud's place accepts and closes one connection, which proves a delivery attempt.
        with socket.create_server((LOOPBACK, own_endpoint.cloud.port)) as nobody:
            nobody.settimeout(20)
            nobody.accept()[0].close()
        assert own_endpoint.counters()["succeeded"] == 0
    finally:
        own_endpoint.cloud.restart()

    assert own_endpoint.notices()[0]["invocationStatus"] == "Completed"


def test_a_second_process_on_the_same_state_refuses_to_start(own_endpoint: RunningEndpoint) -> None:
    own_endpoint.start()
    command = [sys.executable, "-m", "local.sagemaker", "--config", str(own_endpoint.folder / "config.json")]

    second = subprocess.run(command, capture_output=True, text=True, timeout=20, check=False)

    assert second.returncode == 2
    assert "another local endpoint is using it" in second.stderr


def test_ctrl_c_ends_the_endpoint_without_a_traceback(own_endpoint: RunningEndpoint) -> None:
    own_endpoint.start()
    assert own_endpoint.child

    own_endpoint.child.signal(signal.SIGINT)

    assert until(own_endpoint.child.exit_code) == 130
    assert "Traceback" not in (own_endpoint.folder / "log").read_text()


def test_the_watcher_ends_the_program_when_its_parent_is_killed(tmp_path: Path) -> None:
    note = tmp_path / "pid"
    program = f"import os, time; open({str(note)!r}, 'w').write(str(os.getpid())); time.sleep(60)"
    watcher = (
        "import os, sys; from local.sagemaker import tether; "
        f"sys.exit(tether.watch(int(sys.argv[1]), [sys.executable, '-c', {program!r}]))"
    )
    parent = (
        "import os, subprocess, sys, time; "
        f"subprocess.Popen([sys.executable, '-c', {watcher!r}, str(os.getpid())]); time.sleep(60)"
    )
    process = subprocess.Popen([sys.executable, "-c", parent], cwd=Path(tether.__file__).parents[2])
    pid = int(until(lambda: note.exists() and note.read_text()))
    assert not gone(pid)

    os.kill(process.pid, 9)
    process.wait()

    until(lambda: gone(pid), timeout_s=5)


def test_the_body_of_a_finished_request_is_nowhere_on_the_disk(own_endpoint: RunningEndpoint) -> None:
    own_endpoint.start()
    own_endpoint.invoke(id="private", prompt="a very private prompt")
    own_endpoint.notices()
    own_endpoint.invoke(id="other")
    own_endpoint.notices()
    state = own_endpoint.folder / "state"
    until(lambda: not any(b"a very private prompt" in path.read_bytes() for path in state.iterdir()))


@pytest.mark.parametrize("damage", ["cut", "overwritten"])
def test_a_damaged_journal_is_moved_aside_and_said(own_endpoint: RunningEndpoint, damage: str) -> None:
    own_endpoint.start()
    own_endpoint.invoke(id="before")
    own_endpoint.notices()
    own_endpoint.stop()
    journal = own_endpoint.folder / "state/journal.sqlite"
    data = journal.read_bytes()
    journal.write_bytes(data[: len(data) // 2] if damage == "cut" else b"no database" + data[11:])

    own_endpoint.start()
    own_endpoint.invoke(id="after")
    own_endpoint.notices()
    assert list(journal.parent.glob("journal.sqlite.damaged-*"))
    assert "local endpoint: the journal of accepted requests was damaged" in own_endpoint.log_text()


def test_a_full_disk_refuses_requests_and_work_goes_on_when_there_is_room(
    own_endpoint: RunningEndpoint,
) -> None:
    own_endpoint.start()
    own_endpoint.invoke(id="drawn", do="sleep", seconds=1)
    until(lambda: own_endpoint.seen())
    resource.prlimit(own_endpoint.child.pid, resource.RLIMIT_FSIZE, (1, resource.RLIM_INFINITY))
    with pytest.raises(ClientError) as refused:
        own_endpoint.invoke(id="refused")
    assert refused.value.response["ResponseMetadata"]["HTTPStatusCode"] == 503
    until(lambda: own_endpoint.seen(event="end"))
    assert own_endpoint.counters()["succeeded"] == 0
    resource.prlimit(own_endpoint.child.pid, resource.RLIMIT_FSIZE, (resource.RLIM_INFINITY,) * 2)
    assert [notice["inferenceId"] for notice in own_endpoint.notices(1)] == ["drawn"]
    own_endpoint.invoke(id="later")
    own_endpoint.notices()
    counters = own_endpoint.counters()["by_inference_id"]
    assert {name: counters[name]["started"] for name in counters} == {"drawn": 1, "later": 1}
