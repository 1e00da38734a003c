"""Verifies presigned links as S3 does: MiniStack takes almost any signature, and links that have expired.

AWS Signature Version 4, query parameters:
https://docs.aws.amazon.com/AmazonS3/latest/API/sigv4-query-string-auth.html
"""

from __future__ import annotations

import hashlib
import hmac
import re
from collections.abc import Mapping
from datetime import UTC, datetime, timedelta
from urllib.parse import parse_qsl, quote, unquote

ALGORITHM = "AWS4-HMAC-SHA256"
DATE = "%Y%m%dT%H%M%SZ"
MOST_S = 7 * 24 * 3600
# A clock that is wrong by less is no reason to refuse, as on AWS.
SKEW = timedelta(minutes=15)
SIGNATURE = re.compile(r"[0-9a-f]{64}")
CREDENTIAL = re.compile(r"(?P<key>[^/]+)/(?P<date>\d{8})/(?P<region>[a-z0-9-]+)/s3/aws4_request")
ANOTHER_SCHEME = frozenset(
    {"signature", "awsaccesskeyid", "x-amz-signature", "x-amz-algorithm", "x-amz-credential"}
)


def is_presigned(query: str) -> bool:
    """Whether the query string claims to carry a signature, of whatever version."""
    return any(name.casefold() in ANOTHER_SCHEME for name, _ in parse_qsl(query, keep_blank_values=True))


def refusal(
    method: str,
    path: str,
    query: str,
    headers: Mapping[str, str],
    *,
    secret: str,
    now: datetime | None = None,
) -> str:
    """Returns why S3 would refuse the link; empty if it is valid now.

    `path` is as sent, `headers` have lower-case names. Every parameter is part of the signature, so a link cannot be
    given another `response-content-type` by whoever has it.
    """
    pairs = parse_qsl(query, keep_blank_values=True)
    given = dict(pairs)
    if len(given) != len(pairs):
        return "a parameter of the link is given twice"
    if given.get("X-Amz-Algorithm") != ALGORITHM:
        return f"links are signed with {ALGORITHM} here"
    credential = CREDENTIAL.fullmatch(given.get("X-Amz-Credential", ""))
    signature = given.pop("X-Amz-Signature", "")
    signed = given.get("X-Amz-SignedHeaders", "").split(";")
    if credential is None or not SIGNATURE.fullmatch(signature) or "host" not in signed:
        return "the link's signature is malformed"
    try:
        made = datetime.strptime(given.get("X-Amz-Date", ""), DATE).replace(tzinfo=UTC)
        valid_s = int(given.get("X-Amz-Expires", ""))
    except ValueError:
        return "the link's times are malformed"
    present = now or datetime.now(UTC)
    if not 0 < valid_s <= MOST_S or made.strftime("%Y%m%d") != credential["date"] or made > present + SKEW:
        return "the link's times are malformed"
    if present > made + timedelta(seconds=valid_s):
        return "the link has expired"
    canonical = "\n".join(
        [
            method,
            quote(unquote(path), safe="/-_.~"),
            "&".join(sorted(f"{_encoded(name)}={_encoded(value)}" for name, value in given.items())),
            *(f"{name}:{' '.join(headers.get(name, '').split())}" for name in signed),
            "",
            ";".join(signed),
            given.get("X-Amz-Content-Sha256", "UNSIGNED-PAYLOAD"),
        ]
    )
    scope = f"{credential['date']}/{credential['region']}/s3/aws4_request"
    text = "\n".join([ALGORITHM, given["X-Amz-Date"], scope, hashlib.sha256(canonical.encode()).hexdigest()])
    key = f"AWS4{secret}".encode()
    for part in scope.split("/"):
        key = hmac.digest(key, part.encode(), "sha256")
    expected = hmac.digest(key, text.encode(), "sha256").hex()
    return "" if hmac.compare_digest(expected, signature) else "the link's signature does not match"


def _encoded(text: str) -> str:
    return quote(text, safe="-_.~")
