"""Tests that a fault behind the endpoint yields a failure object and notification and does not block the queue."""

from __future__ import annotations

import json
import os
import time
from typing import Any

import pytest
from botocore.exceptions import ClientError

from tests.local.sagemaker.running import OUTPUTS, RunningEndpoint, until

pytestmark = [pytest.mark.wire, pytest.mark.faults]


def failure(endpoint: RunningEndpoint, name: str = "plain", **request: Any) -> tuple[dict[str, Any], Any]:
    """Invoke, and return the notification and the failure object; assert that there is no output."""
    answer = endpoint.invoke(name, S3OutputPathExtension="u/j", Filename="1.json", **request)
    [notice] = endpoint.notices()
    assert notice["invocationStatus"] == "Failed"
    assert notice["failureLocation"] == answer["FailureLocation"]
    assert endpoint.keys() == ["failures/u/j/1-error.out"]
    assert endpoint.counters(name)["failed"] == 1
    body, content_type = endpoint.object(answer["FailureLocation"])
    return notice, json.loads(body) if content_type == "application/json" else body.decode()


def test_an_error_response_of_the_container_becomes_the_failure_object(endpoint: RunningEndpoint) -> None:
    notice, body = failure(endpoint, do="error", status=500)

    assert json.loads(body) == {"error": {"code": "model_error", "message": "as asked"}}
    assert notice["failureReason"].startswith("ClientError: Received server error (500) from model.")


def test_a_crash_fails_the_request_in_flight_and_the_next_gets_a_new_process(
    endpoint: RunningEndpoint,
) -> None:
    notice, body = failure(endpoint, do="crash", id="first")
    assert (
        notice["failureReason"] == "ModelError: The container program ended with status -9 while it worked."
    )
    assert body == notice["failureReason"]

    endpoint.invoke(id="second")
    [second] = endpoint.notices()

    assert second["invocationStatus"] == "Completed"
    crashed, restarted = (noted["pid"] for noted in endpoint.seen())
    assert crashed != restarted
    assert endpoint.counters()["cold_starts"] == 2


def test_a_container_that_died_while_idle_is_replaced_without_failing_a_request(
    endpoint: RunningEndpoint,
) -> None:
    endpoint.invoke(id="first")
    endpoint.notices()
    os.kill(endpoint.seen()[0]["pid"], 9)

    endpoint.invoke(id="second")

    assert endpoint.notices()[0]["invocationStatus"] == "Completed"
    assert endpoint.counters()["cold_starts"] == 2


def test_all_requests_in_flight_fail_when_one_of_them_crashes_the_container(
    endpoint: RunningEndpoint,
) -> None:
    endpoint.invoke("wide", id="a", do="hang")
    until(lambda: len(endpoint.seen("wide")) == 1)
    endpoint.invoke("wide", id="b", do="hang", InvocationTimeoutSeconds=1)

    reasons = {notice["inferenceId"]: notice["failureReason"] for notice in endpoint.notices(2)}

    assert "Time-out" in reasons["b"]
    assert "ended with status -9" in reasons["a"]


def test_a_hung_container_is_killed_at_the_timeout_and_replaced(endpoint: RunningEndpoint) -> None:
    notice, _ = failure(endpoint, do="hang", id="first", InvocationTimeoutSeconds=1)
    assert "Time-out" in notice["failureReason"]
    hung = endpoint.seen()[0]["pid"]
    with pytest.raises(ProcessLookupError):
        os.kill(hung, 0)

    endpoint.invoke(id="second")

    assert endpoint.notices()[0]["invocationStatus"] == "Completed"
    assert endpoint.seen()[1]["pid"] != hung


@pytest.mark.parametrize("do", ["truncate", "no_length"])
def test_a_possibly_truncated_response_is_a_failure(endpoint: RunningEndpoint, do: str) -> None:
    notice, _ = failure(endpoint, do=do)

    assert "was not whole" in notice["failureReason"] or "no Content-Length" in notice["failureReason"]
    assert endpoint.seen()[0]["do"] == do


def test_a_request_is_retried_until_a_busy_container_accepts_it(endpoint: RunningEndpoint) -> None:
    endpoint.invoke(id="b", do="busy", times=2)

    assert endpoint.notices()[0]["invocationStatus"] == "Completed"
    assert len(endpoint.seen()) == 3
    assert endpoint.counters()["started"] == 1


def test_a_container_that_cannot_start_fails_all_waiting_requests_with_its_reason(
    endpoint: RunningEndpoint,
) -> None:
    endpoint.invoke("broken", id="first")
    endpoint.invoke("broken", id="second")

    notices = endpoint.notices(2)

    for notice in notices:
        assert notice["invocationStatus"] == "Failed"
        assert "did not start (attempts: 2): it ended with status 1" in notice["failureReason"]
        assert "no weights here" in notice["failureReason"]
    assert len(endpoint.seen("broken", "start")) == 2
    assert endpoint.counters("broken")["started"] == 0


def test_a_container_that_never_becomes_healthy_is_abandoned_after_the_start_timeout(
    endpoint: RunningEndpoint,
) -> None:
    endpoint.invoke("mute")

    [notice] = endpoint.notices()

    assert "/ping did not answer 200 within 3 s" in notice["failureReason"]
    assert len(endpoint.seen("mute", "start")) == 2


def test_a_container_that_starts_at_the_second_attempt_serves_requests(endpoint: RunningEndpoint) -> None:
    endpoint.invoke("flaky")

    assert endpoint.notices()[0]["invocationStatus"] == "Completed"
    assert endpoint.counters("flaky")["cold_starts"] == 2


def test_a_missing_input_object_fails_without_starting_the_container(endpoint: RunningEndpoint) -> None:
    endpoint.runtime.invoke_endpoint_async(
        EndpointName="plain", InputLocation="s3://atelier-inputs/none.json", InferenceId="x"
    )

    [notice] = endpoint.notices()

    assert notice["invocationStatus"] == "Failed"
    assert "s3://atelier-inputs/none.json" in notice["failureReason"]
    assert endpoint.counters()["cold_starts"] == 0
    assert endpoint.keys() == ["failures/x-error.out"]


def test_an_output_that_cannot_be_written_is_a_failure(endpoint: RunningEndpoint) -> None:
    endpoint.cloud.client("s3").delete_bucket(Bucket=OUTPUTS)
    endpoint.invoke()

    [notice] = endpoint.notices()

    assert notice["invocationStatus"] == "Failed"
    assert "Could not write" in notice["failureReason"]
    assert "failureLocation" not in notice


def test_a_failed_request_does_not_block_the_requests_behind_it(endpoint: RunningEndpoint) -> None:
    for id, do in [("a", "error"), ("b", ""), ("c", "crash"), ("d", "")]:
        endpoint.invoke(id=id, do=do, status=500)

    assert [(n["inferenceId"], n["invocationStatus"]) for n in endpoint.notices(4)] == [
        ("a", "Failed"),
        ("b", "Completed"),
        ("c", "Failed"),
        ("d", "Completed"),
    ]


def test_a_synchronous_call_to_a_container_that_cannot_start_is_a_model_error(
    endpoint: RunningEndpoint,
) -> None:
    with pytest.raises(ClientError) as caught:
        endpoint.runtime.invoke_endpoint(EndpointName="broken", Body=b"{}")

    answer = caught.value.response
    assert (answer["Error"]["Code"], answer["OriginalStatusCode"]) == ("ModelError", 0)
    assert "no weights here" in answer["OriginalMessage"]


def test_an_idle_container_is_stopped_with_sigterm_and_restarted_on_demand(
    endpoint: RunningEndpoint,
) -> None:
    assert endpoint.instances("brief") == (0, 0)
    endpoint.invoke("brief", id="first")
    endpoint.notices()
    until(lambda: endpoint.instances("brief") == (0, 0))
    assert len(endpoint.seen("brief", "term")) == 1

    endpoint.invoke("brief", id="second")
    endpoint.notices()

    assert endpoint.counters("brief")["cold_starts"] == 2


def test_describe_endpoint_shows_the_desired_instance_while_it_starts(
    endpoint: RunningEndpoint,
) -> None:
    endpoint.invoke("slow")

    until(lambda: endpoint.instances("slow") == (0, 1))
    assert endpoint.control.describe_endpoint(EndpointName="slow")["EndpointStatus"] == "Updating"
    until(lambda: endpoint.instances("slow") == (1, 1))
    assert endpoint.control.describe_endpoint(EndpointName="slow")["EndpointStatus"] == "InService"


def test_a_request_that_arrives_while_the_idle_container_stops_is_not_lost(endpoint: RunningEndpoint) -> None:
    for n in range(3):
        endpoint.invoke("brief", id=f"r{n}")
        endpoint.notices()
        time.sleep(0.29)

    assert endpoint.counters("brief")["succeeded"] == 3
