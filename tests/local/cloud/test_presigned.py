"""Presigned links at the embedded cloud: only those that S3 would take, for as long as S3 would take them."""

from __future__ import annotations

import http.client
import re
from datetime import UTC, datetime, timedelta
from urllib.parse import urlsplit

import pytest

from local.cloud.presigned import refusal
from local.resources import IMAGES_BUCKET, SECRET_ACCESS_KEY, Resources
from tests.cloud import EmbeddedCloud
from tests.local.cloud.test_doorman import ask

KEY = "images/u/j/0 a+b.png"


@pytest.fixture
def link(cloud: EmbeddedCloud) -> str:
    """A link to a stored picture, as the studio makes them: path and query."""
    cloud.make_resources()
    s3 = cloud.client("s3")
    s3.put_object(Bucket=IMAGES_BUCKET, Key=KEY, Body=b"<script>", ContentType="image/png")
    parameters = {
        "Bucket": IMAGES_BUCKET,
        "Key": KEY,
        "ResponseContentDisposition": 'attachment; filename="a picture.png"',
    }
    parts = urlsplit(s3.generate_presigned_url("get_object", Params=parameters, ExpiresIn=60))
    return f"{parts.path}?{parts.query}"


def test_a_link_of_the_studio_works_and_its_object_is_no_page(cloud: EmbeddedCloud, link: str) -> None:
    connection = http.client.HTTPConnection("127.0.0.1", cloud.port, timeout=10)
    connection.request("GET", link, headers={"Host": f"localhost:{cloud.port}"})
    answer = connection.getresponse()
    assert (answer.status, answer.read()) == (200, b"<script>")
    assert answer.getheader("X-Content-Type-Options") == "nosniff"
    assert (answer.getheader("Content-Security-Policy") or "").startswith("sandbox;")
    connection.close()


@pytest.mark.parametrize(
    ("pattern", "replacement"),
    [
        ("AWS4-HMAC-SHA256", "none"),
        ("X-Amz-Algorithm=[^&]*&", ""),
        (r"X-Amz-Signature=[0-9a-f]{8}", "X-Amz-Signature=00000000"),
        (r"X-Amz-Signature=[0-9a-f]{64}", "X-Amz-Signature=" + "0" * 63),
        (r"X-Amz-Signature=[0-9a-f]{64}", "X-Amz-Signature="),
        (r"$", "&response-content-type=text/html"),
        (r"response-content-disposition=[^&]*", "response-content-disposition=inline"),
        (r"$", "&X-Amz-Expires=600"),
        (r"X-Amz-Expires=60", "X-Amz-Expires=6000"),
        (r"X-Amz-SignedHeaders=host", "X-Amz-SignedHeaders="),
        (r"0%20a", "1%20a"),
        (r"%2Fs3%2F", "%2Fsqs%2F"),
    ],
)
def test_a_changed_link_is_refused(cloud: EmbeddedCloud, link: str, pattern: str, replacement: str) -> None:
    changed = re.sub(pattern, replacement, link, count=1)
    assert changed != link
    assert ask(cloud, "GET", changed)[0] == 403


def test_a_link_expires_and_does_not_work_for_another_method(
    cloud: EmbeddedCloud, link: str, resources: Resources
) -> None:
    path, _, query = link.partition("?")
    headers = {"host": f"localhost:{cloud.port}"}

    def why(method: str, after_s: float) -> str:
        at = datetime.now(UTC) + timedelta(seconds=after_s)
        return refusal(method, path, query, headers, secret=SECRET_ACCESS_KEY, now=at)

    assert why("GET", 0) == why("GET", 58) == ""
    assert why("GET", 61) == "the link has expired"
    assert why("GET", -3600) == "the link's times are malformed"
    assert why("DELETE", 0) == why("HEAD", 0) == "the link's signature does not match"
    assert ask(cloud, "DELETE", link)[0] == 403
