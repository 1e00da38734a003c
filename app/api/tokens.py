"""Verifies Cognito access tokens of this studio's client."""

from __future__ import annotations

import time
from dataclasses import dataclass
from typing import Any, cast
from uuid import UUID

import jwt
from jwt import PyJWKClient
from jwt.exceptions import PyJWKClientConnectionError, PyJWTError

from services.errors import NotSignedIn, Unavailable

ALGORITHM = "RS256"
MAX_TOKEN_CHARACTERS = 16_384
# A header may only name the algorithm and the key. Anything that contains or points to a key
# (jwk, jku, x5c, x5u) or changes how the token is read (crit, b64, zip, enc) is refused, whatever its value.
ALLOWED_HEADERS = frozenset({"alg", "kid", "typ"})
ALLOWED_TYPES = frozenset({"JWT", "at+jwt"})
CLOCK_SKEW_S = 5
KEYS_LIFESPAN_S = 3600
UNKNOWN_KEY_COOLDOWN_S = 30
FAILED_FETCH_COOLDOWN_S = 5
FETCH_TIMEOUT_S = 3
REFUSED = "The access token is not valid here: expired, malformed, of the wrong type, or not of this studio."


@dataclass(frozen=True)
class Claims:
    """The claims of a verified token. `user_id` is `sub` without dashes; `began_at` is the sign-in's Unix time."""

    user_id: str
    groups: frozenset[str]
    began_at: int


class SigningKeys(PyJWKClient):
    """The pool's public keys, cached; unknown key ids or a dead key server cannot trigger a request per call."""

    def __init__(self, uri: str) -> None:
        super().__init__(
            uri,
            lifespan=KEYS_LIFESPAN_S,
            timeout=FETCH_TIMEOUT_S,
            cooldown_duration=UNKNOWN_KEY_COOLDOWN_S,
        )
        self._closed_until = 0.0

    def fetch_data(self) -> Any:
        """Fetches the key set with one GET; after a failure, waits some seconds before the next one."""
        if time.monotonic() < self._closed_until:
            raise PyJWKClientConnectionError("the last fetch of the signing keys failed a moment ago")
        try:
            return super().fetch_data()
        except (PyJWTError, OSError, ValueError) as exc:
            self._closed_until = time.monotonic() + FAILED_FETCH_COOLDOWN_S
            raise PyJWKClientConnectionError("the signing keys cannot be read") from exc


class AccessTokens:
    """Verifies access tokens of one Cognito client."""

    def __init__(self, *, issuer: str, client_id: str, keys: PyJWKClient) -> None:
        self._issuer = issuer
        self._client_id = client_id
        self._keys = keys

    def verify(self, token: str) -> Claims:
        """Returns the claims of a valid access token.

        Raises NotSignedIn for anything else, always with the same words: a forger learns nothing from them.
        Raises Unavailable when the signing keys cannot be read. May fetch the key set (blocking, bounded).
        """
        if len(token) > MAX_TOKEN_CHARACTERS:
            raise NotSignedIn(REFUSED, code="invalid_token")
        try:
            key = self._keys.get_signing_key(_key_id(token))
            claims = jwt.decode(
                token,
                key,
                algorithms=[ALGORITHM],
                issuer=self._issuer,
                leeway=CLOCK_SKEW_S,
                # Cognito's access tokens name their client in `client_id` and have no `aud`.
                options={
                    "require": ["exp", "iat", "iss", "sub", "token_use", "client_id"],
                    "verify_aud": False,
                },
            )
            expected = {"token_use": "access", "client_id": self._client_id}
            if any(claims[name] != value for name, value in expected.items()):
                raise jwt.InvalidTokenError("not an access token of this client")
            return Claims(
                user_id=UUID(claims["sub"]).hex,
                groups=_groups(claims),
                began_at=int(claims.get("auth_time", claims["iat"])),
            )
        except PyJWKClientConnectionError as exc:
            raise Unavailable("Sign-in cannot be checked right now; try again shortly.") from exc
        # ValueError: malformed parts of the token (base64, numbers, the UUID).
        except (PyJWTError, ValueError, TypeError, RecursionError) as exc:
            raise NotSignedIn(REFUSED, code="invalid_token") from exc


def _key_id(token: str) -> str:
    header = jwt.get_unverified_header(token)
    if not header.keys() <= ALLOWED_HEADERS or header.get("typ", "JWT") not in ALLOWED_TYPES:
        raise jwt.InvalidTokenError("a header that no Cognito token has")
    if header.get("alg") != ALGORITHM:
        raise jwt.InvalidAlgorithmError("signed in a way that is not allowed")
    kid = header.get("kid")
    if not isinstance(kid, str) or not kid:
        raise jwt.InvalidTokenError("no key id")
    return kid


def _groups(claims: dict[str, Any]) -> frozenset[str]:
    groups = claims.get("cognito:groups", [])
    if not isinstance(groups, list) or not all(isinstance(group, str) for group in groups):
        raise jwt.InvalidTokenError("groups that are not a list of names")
    return frozenset(cast(list[str], groups))
