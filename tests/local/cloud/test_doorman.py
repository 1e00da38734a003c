"""Tests over HTTP that the embedded cloud refuses foreign pages and has no service that runs code."""

from __future__ import annotations

import http.client
import socket
from urllib.parse import urlencode, urlsplit

import pytest

from local.processes import LOOPBACK
from local.resources import IMAGES_BUCKET, INPUTS_BUCKET, LIBRARY_BUCKET, OUTPUTS_BUCKET, TABLE, Resources
from tests.cloud import EmbeddedCloud

KEY = "images/u/j/0.png"
FIREFOX = {"User-Agent": "Mozilla/5.0 (X11; Linux x86_64; rv:144.0) Gecko/20100101 Firefox/144.0"}
# Headers that browsers send for `<img src>` in a page of another site, and for a followed link.
PICTURE = {**FIREFOX, "Sec-Fetch-Site": "cross-site", "Sec-Fetch-Mode": "no-cors", "Sec-Fetch-Dest": "image"}
NAVIGATION = {**FIREFOX, "Sec-Fetch-Site": "same-site", "Sec-Fetch-Mode": "navigate"}
TEMPLATE = '{"Resources": {"Q": {"Type": "AWS::SQS::Queue", "Properties": {"QueueName": "planted"}}}}'
ASKERS = [
    pytest.param({}, id="a program"),
    pytest.param({"Sec-Fetch-Site": "cross-site"}, id="fetch metadata alone"),
    pytest.param(FIREFOX, id="an old browser"),
    pytest.param(PICTURE, id="a picture of a page"),
]


def ask(
    cloud: EmbeddedCloud,
    method: str,
    path: str,
    headers: dict[str, str] | None = None,
    body: str | None = None,
    *,
    host: str = "",
) -> tuple[int, bytes]:
    connection = http.client.HTTPConnection(LOOPBACK, cloud.port, timeout=20)
    connection.request(method, path, body, {"Host": host or f"localhost:{cloud.port}", **(headers or {})})
    answer = connection.getresponse()
    status, content = answer.status, answer.read()
    connection.close()
    return status, content


def queues(cloud: EmbeddedCloud) -> list[str]:
    urls = cloud.client("sqs").list_queues().get("QueueUrls", [])
    return sorted(url.rpartition("/")[2] for url in urls)


@pytest.mark.parametrize("headers", ASKERS)
@pytest.mark.parametrize("method", ["GET", "HEAD", "POST"])
@pytest.mark.parametrize("name", ["Action", "action", "%41ction"])
@pytest.mark.parametrize("signer", [None, "AWSAccessKeyId", "X-Amz-Credential"])
def test_an_api_call_in_the_query_string_creates_nothing(
    cloud: EmbeddedCloud, headers: dict[str, str], method: str, name: str, signer: str | None
) -> None:
    calls = {
        "sqs": ("CreateQueue", {"QueueName": "planted", "Version": "2012-11-05"}),
        "cloudformation": (
            "CreateStack",
            {"StackName": "planted", "TemplateBody": TEMPLATE, "Version": "2010-05-15"},
        ),
    }
    for service, (action, rest) in calls.items():
        # Signatures are not verified: a foreign page needs only the well-known key.
        key = {
            None: {},
            "AWSAccessKeyId": {"AWSAccessKeyId": "test"},
            "X-Amz-Credential": {
                "X-Amz-Algorithm": "AWS4-HMAC-SHA256",
                "X-Amz-Credential": f"test/20260101/us-east-1/{service}/aws4_request",
                "X-Amz-SignedHeaders": "host",
                "X-Amz-Signature": "0" * 64,
            },
        }[signer]
        status, _ = ask(cloud, method, f"/?{name}={action}&{urlencode(rest | key)}", headers)
        assert status == 403
    assert queues(cloud) == []


def test_an_api_call_disguised_as_a_presigned_link_is_refused(cloud: EmbeddedCloud) -> None:
    signed = urlencode(
        {"X-Amz-Signature": "0" * 64, "X-Amz-Credential": "test/20260101/us-east-1/sqs/aws4_request"}
    )
    for path in ("/", f"/{IMAGES_BUCKET}/a.png"):
        status, _ = ask(cloud, "GET", f"{path}?{signed}&Action=CreateQueue&QueueName=planted", PICTURE)
        assert status == 403
        assert ask(cloud, "GET", f"{path}?{signed}", PICTURE)[0] == 403
    assert queues(cloud) == []


@pytest.mark.parametrize(
    ("method", "path", "body"),
    [
        ("POST", "/", urlencode({"Action": "CreateStack", "StackName": "planted", "TemplateBody": TEMPLATE})),
        ("POST", "/", urlencode({"Action": "CreateRole", "RoleName": "planted", "Version": "2010-05-08"})),
        ("GET", "/2015-03-31/functions", None),
        ("POST", "/2015-03-31/functions", '{"FunctionName": "planted"}'),
        ("POST", "/2015-03-31/functions/planted/invocations", "{}"),
    ],
)
@pytest.mark.parametrize("service", ["", "cloudformation", "iam", "lambda"])
def test_services_that_run_code_are_unavailable_even_to_programs(
    cloud: EmbeddedCloud, method: str, path: str, body: str | None, service: str
) -> None:
    headers = {"Content-Type": "application/x-www-form-urlencoded"}
    if service:
        headers["Authorization"] = (
            f"AWS4-HMAC-SHA256 Credential=test/20260101/us-east-1/{service}/aws4_request, "
            "SignedHeaders=host, Signature=" + "0" * 64
        )
    status, content = ask(cloud, method, path, headers, body)
    assert 400 <= status < 500, content
    assert queues(cloud) == []


def test_the_health_page_does_not_list_unused_services(cloud: EmbeddedCloud) -> None:
    status, content = ask(cloud, "GET", "/_ministack/health")
    assert status == 200
    for name in ("lambda", "cloudformation", "iam", "ecs", "states", "codebuild"):
        assert f'"{name}"' not in content.decode()


@pytest.mark.parametrize(
    ("method", "path"),
    [
        ("GET", "/"),
        ("GET", f"/{IMAGES_BUCKET}"),
        ("GET", f"/{IMAGES_BUCKET}/?list-type=2"),
        ("GET", f"/{IMAGES_BUCKET}/{KEY}"),
        ("PUT", f"/{IMAGES_BUCKET}/{KEY}"),
        ("POST", "/"),
        ("POST", "/oauth2/token"),
        ("GET", "/oauth2/userInfo"),
        ("GET", "/oauth2/authorize/"),
        ("GET", "/_aws/sqs/messages"),
        ("GET", "/2015-03-31/functions"),
        ("GET", "/login"),
        ("OPTIONS", "/"),
    ],
)
@pytest.mark.parametrize("headers", [FIREFOX, PICTURE, NAVIGATION, {"Origin": "http://localhost:{port}"}])
def test_a_browser_is_refused_everything_but_sign_in_and_presigned_links(
    cloud: EmbeddedCloud, resources: Resources, method: str, path: str, headers: dict[str, str]
) -> None:
    named = {name: value.replace("{port}", str(cloud.port)) for name, value in headers.items()}
    status, _ = ask(cloud, method, path, named)
    assert status == 403


@pytest.mark.parametrize("bucket", [IMAGES_BUCKET, OUTPUTS_BUCKET, INPUTS_BUCKET])
def test_a_page_can_load_a_picture_through_its_presigned_link(
    cloud: EmbeddedCloud, resources: Resources, bucket: str
) -> None:
    s3 = cloud.client("s3")
    s3.put_object(Bucket=bucket, Key=KEY, Body=b"pixels", ContentType="image/png")
    for headers in (PICTURE, NAVIGATION):
        for method, body in (("GET", b"pixels"), ("HEAD", b"")):
            link = urlsplit(
                s3.generate_presigned_url(f"{method.lower()}_object", Params={"Bucket": bucket, "Key": KEY})
            )
            path = f"{link.path}?{link.query}"
            assert ask(cloud, method, path, headers, host=link.netloc) == (200, body)


@pytest.mark.parametrize("method", ["PUT", "POST", "DELETE"])
def test_a_presigned_link_does_not_let_a_page_write(
    cloud: EmbeddedCloud, resources: Resources, method: str
) -> None:
    s3 = cloud.client("s3")
    s3.put_object(Bucket=IMAGES_BUCKET, Key=KEY, Body=b"pixels")
    link = urlsplit(s3.generate_presigned_url("put_object", Params={"Bucket": IMAGES_BUCKET, "Key": KEY}))
    headers = {**PICTURE, "Content-Type": "text/plain"}
    assert ask(cloud, method, f"{link.path}?{link.query}", headers, "x", host=link.netloc)[0] == 403
    assert s3.get_object(Bucket=IMAGES_BUCKET, Key=KEY)["Body"].read() == b"pixels"


def test_a_browser_can_download_export_zips_but_not_library_indexes(
    cloud: EmbeddedCloud, resources: Resources
) -> None:
    s3 = cloud.client("s3")
    for key, status in (
        ("exports/u/e/zip/1.zip", 200),
        ("exports/u/e/plan.json", 403),
        ("search/u/1.gz", 403),
    ):
        s3.put_object(Bucket=LIBRARY_BUCKET, Key=key, Body=b"bytes")
        link = urlsplit(
            s3.generate_presigned_url("get_object", Params={"Bucket": LIBRARY_BUCKET, "Key": key})
        )
        assert ask(cloud, "GET", f"{link.path}?{link.query}", NAVIGATION, host=link.netloc)[0] == status


def test_prompts_are_refused_to_a_browser_even_through_a_presigned_link(
    cloud: EmbeddedCloud, resources: Resources
) -> None:
    s3 = cloud.client("s3")
    s3.put_object(Bucket=INPUTS_BUCKET, Key="u/j.json", Body=b"{}")
    link = urlsplit(
        s3.generate_presigned_url("get_object", Params={"Bucket": INPUTS_BUCKET, "Key": "u/j.json"})
    )
    assert ask(cloud, "GET", f"{link.path}?{link.query}", PICTURE, host=link.netloc)[0] == 403


def test_a_browser_can_open_the_sign_in_page_and_sign_out(cloud: EmbeddedCloud, resources: Resources) -> None:
    sign_in = {
        "client_id": resources.sign_in.client_id,
        "redirect_uri": "http://localhost:8501/oauth2callback",
        "response_type": "code",
        "scope": "openid email profile",
        "state": "a-state",
    }
    status, page = ask(cloud, "GET", f"/oauth2/authorize?{urlencode(sign_in)}", NAVIGATION)
    assert status == 200
    assert b'action="/login"' in page
    sign_out = {"client_id": resources.sign_in.client_id, "logout_uri": "http://localhost:8501/"}
    status, _ = ask(cloud, "GET", f"/logout?{urlencode(sign_out)}", NAVIGATION)
    assert status == 302


def test_a_browser_can_post_the_sign_in_form_only_from_the_sign_in_page(
    cloud: EmbeddedCloud, resources: Resources
) -> None:
    person = cloud.make_person(resources, "ada")
    form = {
        "client_id": resources.sign_in.client_id,
        "redirect_uri": "http://localhost:8501/oauth2callback",
        "response_type": "code",
        "scope": "openid",
        "username": person.email,
        "password": person.password,
    }
    headers = {
        **FIREFOX,
        "Origin": cloud.url,
        "Sec-Fetch-Site": "same-origin",
        "Sec-Fetch-Mode": "navigate",
        "Content-Type": "application/x-www-form-urlencoded",
    }
    assert ask(cloud, "POST", "/login", headers, urlencode(form))[0] == 302
    elsewhere = {**headers, "Origin": "http://evil.example", "Sec-Fetch-Site": "cross-site"}
    nowhere = {name: value for name, value in headers.items() if name != "Origin"}
    for other in (elsewhere, nowhere):
        assert ask(cloud, "POST", "/login", other, urlencode(form))[0] == 403


def test_a_web_socket_is_refused(cloud: EmbeddedCloud) -> None:
    with socket.create_connection((LOOPBACK, cloud.port), timeout=10) as connection:
        connection.sendall(
            b"GET /_aws/execute-api/a/b HTTP/1.1\r\nHost: localhost:%d\r\nConnection: Upgrade\r\n"
            b"Upgrade: websocket\r\nSec-WebSocket-Version: 13\r\nSec-WebSocket-Key: %s\r\n\r\n"
            % (cloud.port, b"AAAAAAAAAAAAAAAAAAAAAA==")
        )
        assert connection.recv(100).startswith(b"HTTP/1.1 403")


def test_programs_can_use_the_services(cloud: EmbeddedCloud, resources: Resources) -> None:
    cloud.client("dynamodb").put_item(TableName=TABLE, Item={"PK": {"S": "a"}, "SK": {"S": "b"}})
    cloud.client("cloudwatch").put_metric_data(
        Namespace="Atelier", MetricData=[{"MetricName": "Sweeps", "Value": 1.0}]
    )
    cloud.client("sns").publish(TopicArn=resources.success_topic_arn, Message="done")
    received = cloud.client("sqs").receive_message(QueueUrl=resources.results_queue_url)
    assert received["Messages"][0]["Body"] == "done"
    for address in (resources.sign_in.discovery_url, resources.sign_in.jwks_url):
        assert ask(cloud, "GET", urlsplit(address).path)[0] == 200
