"""Tests of successful asynchronous and synchronous invocations through boto3."""

from __future__ import annotations

import json
import re
from datetime import datetime

import pytest
from botocore.exceptions import ClientError

from tests.local.sagemaker.running import OUTPUTS, RunningEndpoint, until

pytestmark = pytest.mark.wire


def test_an_inline_body_becomes_an_output_object_and_a_notification(endpoint: RunningEndpoint) -> None:
    answer = endpoint.invoke(id="u-j-1", S3OutputPathExtension="u/j", Filename="1.json")

    assert answer["ResponseMetadata"]["HTTPStatusCode"] == 202
    assert answer["InferenceId"] == "u-j-1"
    assert answer["OutputLocation"] == f"s3://{OUTPUTS}/u/j/1.json"
    assert answer["FailureLocation"] == f"s3://{OUTPUTS}/failures/u/j/1-error.out"
    [notice] = endpoint.notices()
    assert endpoint.object(answer["OutputLocation"]) == (b'{"do": "", "id": "u-j-1"}', "application/x-echo")
    times = [datetime.fromisoformat(notice.pop(name)) for name in ("receivedTime", "eventTime")]
    assert times == sorted(times)
    assert notice == {
        "awsRegion": "us-east-1",
        "invocationStatus": "Completed",
        "requestParameters": {"contentType": "application/json", "endpointName": "plain"},
        "responseParameters": {
            "contentType": "application/x-echo",
            "outputLocation": answer["OutputLocation"],
        },
        "inferenceId": "u-j-1",
        "eventVersion": "1.0",
        "eventSource": "aws:sagemaker",
        "eventName": "InferenceResult",
    }


def test_an_input_object_is_read_and_named_in_the_notification(endpoint: RunningEndpoint) -> None:
    body = json.dumps({"do": "", "id": "big", "filler": "x" * 200_000}).encode()
    endpoint.cloud.client("s3").put_object(Bucket="atelier-inputs", Key="u/j/1.json", Body=body)
    answer = endpoint.runtime.invoke_endpoint_async(
        EndpointName="plain", InputLocation="s3://atelier-inputs/u/j/1.json", ContentType="application/json"
    )

    [notice] = endpoint.notices()
    assert notice["requestParameters"]["inputLocation"] == "s3://atelier-inputs/u/j/1.json"
    assert endpoint.object(answer["OutputLocation"])[0] == body


def test_without_a_filename_the_output_is_named_after_the_inference_id(endpoint: RunningEndpoint) -> None:
    named = endpoint.invoke(id="mine")
    unnamed = endpoint.runtime.invoke_endpoint_async(EndpointName="plain", Body=b"{}")

    assert named["OutputLocation"] == f"s3://{OUTPUTS}/mine.out"
    assert named["FailureLocation"] == f"s3://{OUTPUTS}/failures/mine-error.out"
    assert re.fullmatch(r"[0-9a-f-]{36}", unnamed["InferenceId"])
    assert unnamed["OutputLocation"] == f"s3://{OUTPUTS}/{unnamed['InferenceId']}.out"


def test_an_inference_id_with_slashes_becomes_a_plain_file_name(endpoint: RunningEndpoint) -> None:
    first, second = (endpoint.invoke(id=id)["OutputLocation"] for id in ("../../a", "../../a?"))

    assert re.fullmatch(rf"s3://{OUTPUTS}/a-[0-9a-f]{{12}}\.out", first)
    assert first != second


def test_the_container_gets_the_documented_headers(endpoint: RunningEndpoint) -> None:
    endpoint.invoke(id="h", Accept="application/json", CustomAttributes="trace 7")
    endpoint.notices()

    headers = endpoint.seen()[0]["headers"]
    assert headers["content-type"] == "application/json"
    assert headers["accept"] == "application/json"
    assert headers["x-amzn-sagemaker-custom-attributes"] == "trace 7"
    assert headers["x-amzn-sagemaker-inference-id"] == "h"


def test_requests_run_in_order_of_arrival(endpoint: RunningEndpoint) -> None:
    ids = [f"r{n}" for n in range(6)]
    for id in ids:
        endpoint.invoke(id=id)

    assert [notice["inferenceId"] for notice in endpoint.notices(6)] == ids
    assert [noted["id"] for noted in endpoint.seen()] == ids


def test_no_more_than_max_concurrency_requests_run_at_once(endpoint: RunningEndpoint) -> None:
    for n in range(5):
        endpoint.invoke("wide", id=f"r{n}", do="sleep", seconds=0.5)

    until(lambda: len(endpoint.seen("wide")) == 3)
    assert endpoint.seen("wide", "end") == []
    endpoint.notices(5)
    counters = endpoint.counters("wide")
    assert (counters["accepted"], counters["started"], counters["succeeded"]) == (5, 5, 5)
    assert counters["cold_starts"] == 1


def test_requests_with_the_same_inference_id_are_all_run_and_counted(endpoint: RunningEndpoint) -> None:
    endpoint.invoke(id="twice")
    endpoint.invoke(id="twice")
    endpoint.notices(2)

    assert endpoint.counters()["by_inference_id"]["twice"] == {
        "accepted": 2,
        "started": 2,
        "succeeded": 2,
        "failed": 0,
        "expired": 0,
    }


def test_a_synchronous_invocation_returns_the_containers_response(endpoint: RunningEndpoint) -> None:
    answer = endpoint.runtime.invoke_endpoint(
        EndpointName="plain", Body=b'{"do": "", "id": "s"}', ContentType="application/json"
    )

    assert answer["Body"].read() == b'{"do": "", "id": "s"}'
    assert answer["ContentType"] == "application/x-echo"
    assert answer["InvokedProductionVariant"] == "AllTraffic"
    assert answer["CustomAttributes"] == "from the container"


def test_a_container_error_in_a_synchronous_invocation_is_a_model_error(endpoint: RunningEndpoint) -> None:
    with pytest.raises(ClientError) as caught:
        endpoint.runtime.invoke_endpoint(EndpointName="plain", Body=b'{"do": "error", "status": 507}')

    answer = caught.value.response
    assert answer["Error"]["Code"] == "ModelError"
    assert answer["ResponseMetadata"]["HTTPStatusCode"] == 424
    assert answer["OriginalStatusCode"] == 507
    assert "as asked" in answer["OriginalMessage"]
    assert answer["Error"]["Message"].startswith("Received server error (507) from primary with message")
