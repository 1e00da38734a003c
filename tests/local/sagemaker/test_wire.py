"""Tests of the wire protocol: refused requests and their errors, through botocore and plain HTTP."""

from __future__ import annotations

import json
from typing import Any

import pytest
from botocore.exceptions import ClientError
from botocore.loaders import Loader
from botocore.model import ServiceModel
from botocore.validate import ParamValidator

from local.sagemaker import wire
from local.sagemaker.wire import WireError
from tests.local.sagemaker.running import OUTPUTS, TOPIC, RunningEndpoint

SIGNED = {"Authorization": "AWS4-HMAC-SHA256 Credential=k/20260101/us-east-1/sagemaker/aws4_request"}
PREFIX = "x-amzn-sagemaker-"


def refusal(call: Any, **parameters: Any) -> dict[str, Any]:
    """The parsed response of the error that boto3 raises."""
    with pytest.raises(ClientError) as caught:
        call(**parameters)
    response: dict[str, Any] = caught.value.response
    return response


@pytest.mark.wire
@pytest.mark.parametrize(
    ("parameters", "words"),
    [
        ({}, "neither was given"),
        ({"Body": b"{}", "InputLocation": "s3://b/k"}, "mutually exclusive"),
        ({"Body": b"x" * 128_001}, "less than or equal to 128000"),
        ({"Body": b"x" * 3_000_000}, "less than or equal to 128000"),
        ({"InputLocation": "s3://bucket-only"}, "names a bucket"),
        ({"InputLocation": "https://example.com/key"}, "not an address of S3"),
        ({"Body": b"{}", "Filename": "a.b.c"}, "filename"),
        ({"Body": b"{}", "Filename": "../up"}, "filename"),
        ({"Body": b"{}", "S3OutputPathExtension": "s3://other/"}, "s3OutputPathExtension"),
    ],
)
def test_an_invalid_request_is_a_validation_error(
    shared_endpoint: RunningEndpoint, parameters: dict[str, Any], words: str
) -> None:
    before = shared_endpoint.counters()["accepted"]

    answer = refusal(shared_endpoint.runtime.invoke_endpoint_async, EndpointName="plain", **parameters)

    assert answer["Error"]["Code"] == "ValidationError"
    assert answer["ResponseMetadata"]["HTTPStatusCode"] == 400
    assert words in answer["Error"]["Message"]
    assert shared_endpoint.counters()["accepted"] == before


@pytest.mark.parametrize(
    ("header", "value"),
    [
        ("requestttlseconds", "59"),
        ("requestttlseconds", "21601"),
        ("requestttlseconds", "soon"),
        ("invocationtimeoutseconds", "0"),
        ("invocationtimeoutseconds", "3601"),
        ("inference-id", ""),
        ("inference-id", " leading"),
        ("inference-id", "x" * 65),
        ("inference-id", "ä"),
        ("custom-attributes", "x" * 1025),
        ("custom-attributes", "ä"),
        ("content-type", "x" * 1025),
        ("accept", "x" * 1025),
        ("s3outputpathextension", "x" * 513),
        ("s3outputpathextension", "with space"),
        ("filename", "x" * 33),
        ("filename", ".hidden"),
        ("inputlocation", "ftp://b/k"),
    ],
)
def test_a_header_outside_its_length_range_or_pattern_is_refused(header: str, value: str) -> None:
    body = b"" if header == "inputlocation" else b"{}"
    with pytest.raises(WireError) as caught:
        wire.async_request({PREFIX + header: value}, body)

    assert (caught.value.status, caught.value.code) == (400, "ValidationError")


def test_missing_headers_take_the_documented_defaults() -> None:
    request = wire.async_request({}, b"{}")

    assert (request.ttl_s, request.timeout_s) == (21_600, 900)
    assert (request.filename, request.extension, request.content_type) == (None, None, None)


def test_the_limits_match_botocores_service_model() -> None:
    model = ServiceModel(Loader().load_service_model("sagemaker-runtime", "service-2"))
    members = model.operation_model("InvokeEndpointAsync").input_shape.members
    names = {name: shape.serialization.get("name", "").lower() for name, shape in members.items()}

    for name, shape in members.items():
        limit = shape.metadata.get("max")
        if not names[name].startswith(PREFIX) or not limit:
            continue
        number = shape.type_name == "integer"
        good = str(limit) if number else ("s3://b/" if name == "InputLocation" else "") + "x" * limit
        good = good[:limit] if not number else good
        body = b"" if name == "InputLocation" else b"{}"
        wire.async_request({names[name]: good}, body)
        with pytest.raises(WireError):
            wire.async_request({names[name]: str(limit + 1) if number else good + "x"}, body)
    assert members["Body"].metadata["max"] == wire.MAX_INLINE_BYTES
    assert model.operation_model("InvokeEndpoint").input_shape.members["Body"].metadata["max"] == (
        wire.MAX_SYNC_BYTES
    )


@pytest.mark.wire
def test_an_unsigned_request_is_refused(shared_endpoint: RunningEndpoint) -> None:
    for path in ("/endpoints/plain/async-invocations", "/endpoints/plain/invocations", "/"):
        status, headers, body = shared_endpoint.request("POST", path, b"{}")
        assert status == 403
        assert headers["x-amzn-errortype"] == "MissingAuthenticationTokenException"
        assert b"Missing Authentication Token" in body


@pytest.mark.wire
def test_an_unknown_endpoint_is_not_found(shared_endpoint: RunningEndpoint) -> None:
    invoked = refusal(shared_endpoint.runtime.invoke_endpoint_async, EndpointName="nobody", Body=b"{}")
    described = refusal(shared_endpoint.control.describe_endpoint, EndpointName="nobody")

    assert invoked["Error"] == {
        "Code": "ValidationError",
        "Message": "Endpoint nobody of account 000000000000 not found.",
    }
    assert described["Error"] == {
        "Code": "ValidationException",
        "Message": 'Could not find endpoint "arn:aws:sagemaker:us-east-1:000000000000:endpoint/nobody".',
    }


@pytest.mark.wire
def test_describe_endpoint_returns_only_documented_members(shared_endpoint: RunningEndpoint) -> None:
    headers = {**SIGNED, "X-Amz-Target": "SageMaker.DescribeEndpoint"}
    status, answered, body = shared_endpoint.request("POST", "/", b'{"EndpointName": "plain"}', headers)
    document = json.loads(body)
    parsed = shared_endpoint.control.describe_endpoint(EndpointName="plain")

    assert (status, answered["content-type"]) == (200, "application/x-amz-json-1.1")
    shape = ServiceModel(Loader().load_service_model("sagemaker", "service-2")).shape_for(
        "DescribeEndpointOutput"
    )
    report = ParamValidator().validate(document, shape)
    assert not report.has_errors(), report.generate_report()
    assert set(document) <= set(shape.members)
    assert parsed["EndpointArn"].endswith(":endpoint/plain")
    assert parsed["AsyncInferenceConfig"]["OutputConfig"] == {
        "S3OutputPath": f"s3://{OUTPUTS}/",
        "S3FailurePath": f"s3://{OUTPUTS}/failures/",
        "NotificationConfig": {
            "SuccessTopic": f"{TOPIC}:atelier-success",
            "ErrorTopic": f"{TOPIC}:atelier-errors",
        },
    }


@pytest.mark.wire
def test_other_operations_are_refused_as_unknown(shared_endpoint: RunningEndpoint) -> None:
    listed = refusal(shared_endpoint.control.list_endpoints)
    status, headers, _ = shared_endpoint.request("POST", "/endpoints/plain/other", b"{}", SIGNED)

    assert listed["Error"]["Code"] == "UnknownOperationException"
    assert (status, headers["x-amzn-errortype"]) == (404, "UnknownOperationException")


@pytest.mark.wire
def test_a_page_in_a_browser_cannot_reset_the_endpoint_or_read_its_counters(
    shared_endpoint: RunningEndpoint,
) -> None:
    origin = {"Origin": "http://evil.example"}

    assert shared_endpoint.request("POST", "/_atelier/reset", b"", origin)[0] == 403
    assert shared_endpoint.request("GET", "/_atelier/counters", b"", origin)[0] == 403
    rebound = {"Host": f"evil.example:{shared_endpoint.port}"}
    assert shared_endpoint.request("GET", "/_atelier/counters", b"", rebound)[0] == 403
