"""Tests of the hosted login page of the embedded Cognito over plain HTTP."""

from __future__ import annotations

import base64
import hashlib
import html
import http.client
import json
import re
from typing import Any
from urllib.parse import parse_qs, urlencode, urlsplit

import jwt
import pytest

from local.processes import LOOPBACK
from local.resources import Resources
from tests.cloud import PUBLIC_URL, EmbeddedCloud

CALLBACK = f"{PUBLIC_URL}/oauth2callback"
VERIFIER = "a-verifier-of-more-than-forty-three-characters-0123456789"
CHALLENGE = base64.urlsafe_b64encode(hashlib.sha256(VERIFIER.encode()).digest()).rstrip(b"=").decode()


def call(cloud: EmbeddedCloud, method: str, path: str, **form: str) -> tuple[int, str, str]:
    """Send one request; return status, body and Location header."""
    connection = http.client.HTTPConnection(LOOPBACK, cloud.port, timeout=10)
    headers = {
        "Host": f"localhost:{cloud.port}",
        "Content-Type": "application/x-www-form-urlencoded",
        # A browser sends this header with a form of the same page.
        **({"Origin": cloud.url} if method == "POST" and path == "/login" else {}),
    }
    connection.request(method, path, body=urlencode(form) if form else None, headers=headers)
    answer = connection.getresponse()
    body, location = answer.read().decode(), answer.getheader("Location") or ""
    connection.close()
    return answer.status, body, location


def login_form(cloud: EmbeddedCloud, resources: Resources) -> dict[str, str]:
    discovery = json.loads(call(cloud, "GET", urlsplit(resources.sign_in.discovery_url).path)[1])
    question = urlencode(
        {
            "client_id": resources.sign_in.client_id,
            "redirect_uri": CALLBACK,
            "response_type": "code",
            "scope": "openid email profile",
            "state": "a-state",
            "nonce": "a-nonce",
            "code_challenge": CHALLENGE,
            "code_challenge_method": "S256",
        }
    )
    page = f"{urlsplit(discovery['authorization_endpoint']).path}?{question}"
    for _ in range(3):
        status, body, location = call(cloud, "GET", page)
        if status == 200:
            break
        parts = urlsplit(location)
        page = f"{parts.path}?{parts.query}"
    hidden = re.findall(r'<input type="hidden" name="([^"]+)" value="([^"]*)">', body)
    assert status == 200
    return {name: html.unescape(value) for name, value in hidden}


def sign_in(cloud: EmbeddedCloud, resources: Resources, email: str, password: str) -> str:
    """Sign in and return the authorization code that the login page passes to the studio."""
    form = login_form(cloud, resources)
    status, body, location = call(cloud, "POST", "/login", **form, username=email, password=password)
    assert status in (302, 303), body
    assert location.startswith(CALLBACK)
    answer = parse_qs(urlsplit(location).query)
    assert answer["state"] == ["a-state"]
    return answer["code"][0]


def redeem(
    cloud: EmbeddedCloud, resources: Resources, code: str, verifier: str
) -> tuple[int, dict[str, Any]]:
    status, body, _ = call(
        cloud,
        "POST",
        "/oauth2/token",
        grant_type="authorization_code",
        code=code,
        redirect_uri=CALLBACK,
        client_id=resources.sign_in.client_id,
        client_secret=resources.sign_in.client_secret,
        code_verifier=verifier,
    )
    return status, json.loads(body)


@pytest.mark.parametrize("admin", [False, True])
def test_a_person_signs_in_and_gets_tokens_with_their_group(
    cloud: EmbeddedCloud, resources: Resources, admin: bool
) -> None:
    person = cloud.make_person(resources, "ada", admin=admin)
    code = sign_in(cloud, resources, person.email, person.password)
    status, tokens = redeem(cloud, resources, code, VERIFIER)
    assert status == 200
    keys = jwt.PyJWKSet.from_dict(
        json.loads(call(cloud, "GET", urlsplit(resources.sign_in.jwks_url).path)[1])
    )
    claims = jwt.decode(
        tokens["id_token"],
        keys[jwt.get_unverified_header(tokens["id_token"])["kid"]],
        algorithms=["RS256"],
        audience=resources.sign_in.client_id,
        issuer=resources.sign_in.issuer,
    )
    assert claims["email"] == person.email
    assert claims["sub"] == person.sub
    assert claims["nonce"] == "a-nonce"
    assert claims["cognito:groups"] == ["admins" if admin else "makers"]


def test_a_code_is_refused_with_a_wrong_verifier(cloud: EmbeddedCloud, resources: Resources) -> None:
    person = cloud.make_person(resources, "ada")
    code = sign_in(cloud, resources, person.email, person.password)
    status, answer = redeem(cloud, resources, code, "another-verifier-of-more-than-forty-three-characters")
    assert (status, answer["error"]) == (400, "invalid_grant")


def test_a_wrong_password_does_not_redirect_to_the_callback(
    cloud: EmbeddedCloud, resources: Resources
) -> None:
    person = cloud.make_person(resources, "ada")
    form = login_form(cloud, resources)
    status, _, location = call(
        cloud, "POST", "/login", **form, username=person.email, password="Wrong-password-1"
    )
    assert not location.startswith(CALLBACK)
    assert status != 500


def test_a_foreign_callback_is_refused(cloud: EmbeddedCloud, resources: Resources) -> None:
    question = {
        "client_id": resources.sign_in.client_id,
        "response_type": "code",
        "redirect_uri": "http://evil.example/",
    }
    status, _, location = call(cloud, "GET", f"/oauth2/authorize?{urlencode(question)}")
    assert status == 400 or "evil.example" not in urlsplit(location).netloc
    assert status != 200
