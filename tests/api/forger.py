"""Issues access tokens like Cognito and forges them; serves the public keys on loopback."""

from __future__ import annotations

import base64
import hashlib
import hmac
import json
import threading
import time
from collections.abc import Callable
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

import jwt
from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric import rsa
from jwt.algorithms import RSAAlgorithm

ISSUER = "https://cognito-idp.eu-central-1.amazonaws.com/eu-central-1_Pool"
CLIENT_ID = "client-of-the-studio"
KID = "key-1"


class KeyServer:
    """Serves a JWKS document, counts the fetches, and can be made to fail."""

    def __init__(self, document: dict[str, Any]) -> None:
        self.document = document
        self.fetches = 0
        self.broken: Callable[[], tuple[int, bytes]] | None = None
        server = self

        class Handler(BaseHTTPRequestHandler):
            def do_GET(self) -> None:
                server.fetches += 1
                status, body = (
                    server.broken() if server.broken else (200, json.dumps(server.document).encode())
                )
                self.send_response(status)
                self.send_header("Content-Length", str(len(body)))
                self.end_headers()
                self.wfile.write(body)

            def log_message(self, format: str, *args: Any) -> None:
                """Logs nothing, to keep the test output clean."""

        self._server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self._thread = threading.Thread(target=self._server.serve_forever, args=(0.05,), daemon=True)
        self._thread.start()
        self.url = f"http://127.0.0.1:{self._server.server_address[1]}/.well-known/jwks.json"

    def close(self) -> None:
        self._server.shutdown()
        self._server.server_close()
        self._thread.join(timeout=5)


class Forger:
    """Holds the pool's private key and an untrusted one."""

    def __init__(self) -> None:
        self.key = rsa.generate_private_key(public_exponent=65537, key_size=2048)
        self.other_key = rsa.generate_private_key(public_exponent=65537, key_size=2048)

    def jwk(self, kid: str = KID, *, other: bool = False) -> dict[str, Any]:
        """Returns the public key as Cognito publishes it."""
        key = (self.other_key if other else self.key).public_key()
        return {**json.loads(RSAAlgorithm.to_jwk(key)), "kid": kid, "alg": "RS256", "use": "sig"}

    def claims(self, sub: str, /, **changes: Any) -> dict[str, Any]:
        """Returns the claims of an access token; a change to None removes a claim."""
        now = int(time.time())
        claims = {
            "sub": sub,
            "iss": ISSUER,
            "client_id": CLIENT_ID,
            "token_use": "access",
            "scope": "openid email",
            "auth_time": now,
            "iat": now,
            "exp": now + 3600,
            "username": sub,
            "jti": "1",
        }
        claims.update({name.replace("__", ":"): value for name, value in changes.items()})
        return {name: value for name, value in claims.items() if value is not None}

    def token(self, sub: str, /, *, header: dict[str, Any] | None = None, **changes: Any) -> str:
        """Returns a token signed with the pool's key."""
        return jwt.encode(
            self.claims(sub, **changes), self.key, algorithm="RS256", headers={"kid": KID, **(header or {})}
        )

    def by_other_key(self, sub: str, *, header: dict[str, Any] | None = None) -> str:
        """Returns a token signed with the untrusted key."""
        headers = {"kid": KID, **(header or {})}
        return jwt.encode(self.claims(sub), self.other_key, algorithm="RS256", headers=headers)

    def unsigned(self, sub: str, alg: str = "none") -> str:
        """Returns a token without a signature, with the algorithm `alg`."""
        return f"{_part({'alg': alg, 'kid': KID})}.{_part(self.claims(sub))}."

    def by_public_key(self, sub: str) -> str:
        """Returns an HS256 token with the public key as its secret; signed here because PyJWT refuses to."""
        pem = self.key.public_key().public_bytes(
            serialization.Encoding.PEM, serialization.PublicFormat.SubjectPublicKeyInfo
        )
        signed = f"{_part({'alg': 'HS256', 'kid': KID})}.{_part(self.claims(sub))}"
        return f"{signed}.{_base64(hmac.new(pem, signed.encode(), hashlib.sha256).digest())}"

    def bit_flipped(self, sub: str, part: int) -> str:
        """Returns a genuine token with one flipped bit in its header (0), claims (1) or signature (2)."""
        parts = self.token(sub).split(".")
        raw = bytearray(base64.urlsafe_b64decode(parts[part] + "=="))
        raw[len(raw) // 2] ^= 1
        parts[part] = _base64(bytes(raw))
        return ".".join(parts)


def _part(value: dict[str, Any]) -> str:
    return _base64(json.dumps(value).encode())


def _base64(data: bytes) -> str:
    return base64.urlsafe_b64encode(data).rstrip(b"=").decode()
