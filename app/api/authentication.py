"""Authenticates callers by API key or access token; cookies are not accepted."""

from __future__ import annotations

import re
from collections.abc import Callable
from dataclasses import dataclass
from threading import Lock
from typing import TYPE_CHECKING, Annotated, cast

from fastapi import Depends, Request

from app.api.problems import BadCredentials
from app.api.threads import in_thread
from app.api.tokens import AccessTokens, SigningKeys
from services.accounts.accounts import ADMIN_GROUP, KEY_PREFIX
from services.errors import NotFound, NotSignedIn
from services.records import Role, User

if TYPE_CHECKING:
    from services.build import Studio

BEARER = re.compile(r"bearer +(\S+)", re.IGNORECASE)


@dataclass(frozen=True)
class Caller:
    """A signed-in user and the studio they use."""

    user: User
    studio: Studio


class Authenticator:
    """Finds the caller by the credentials of a request. May block on the network."""

    def __init__(self, get_studio: Callable[[], Studio]) -> None:
        self.get_studio = get_studio
        self._tokens: AccessTokens | None = None
        self._lock = Lock()

    def authenticate(self, *, bearer: str | None, api_key: str | None) -> Caller:
        """Returns the caller of a credential. Raises NotSignedIn, Unavailable. Reads, never writes."""
        studio = self.get_studio()
        secret = api_key if api_key is not None else bearer
        if secret is None:
            raise NotSignedIn(
                "Send an API key or an access token: `Authorization: Bearer ...`. Keys are made on the Account page."
            )
        if api_key is not None or secret.startswith(KEY_PREFIX):
            return Caller(user=studio.accounts.by_api_key(secret), studio=studio)
        if studio.settings.auth_mode != "cognito":
            raise NotSignedIn("This studio takes API keys only (`atl_...`).", code="invalid_api_key")
        return Caller(user=self._by_token(studio, secret), studio=studio)

    def _by_token(self, studio: Studio, token: str) -> User:
        claims = self._verifier(studio).verify(token)
        try:
            user = studio.accounts.checked(studio.accounts.user(claims.user_id, began_at=claims.began_at))
        except NotFound as exc:
            # Never creates a profile: a token outlives its user by up to an hour and must not restore a deleted one.
            raise NotSignedIn(
                f"Nobody with this token has an account here yet. Sign in once at {studio.settings.public_url}.",
                code="unknown_user",
            ) from exc
        # The lower role of token and profile: a demoted admin's old token counts as a maker's, and so does one
        # without groups.
        if user.role is Role.ADMIN and ADMIN_GROUP not in claims.groups:
            return user.model_copy(update={"role": Role.MAKER})
        return user

    def _verifier(self, studio: Studio) -> AccessTokens:
        with self._lock:
            if self._tokens is None:
                settings = studio.settings
                self._tokens = AccessTokens(
                    issuer=settings.cognito_issuer,
                    client_id=settings.cognito_client_id,
                    keys=SigningKeys(settings.cognito_jwks_url),
                )
            return self._tokens


async def _signed_in(request: Request) -> Caller:
    authorization = request.headers.getlist("authorization")
    api_keys = request.headers.getlist("x-api-key")
    if len(authorization) + len(api_keys) > 1:
        raise BadCredentials("Send one credential: either `Authorization` or `X-Api-Key`, once.")
    bearer = None
    if authorization:
        match = BEARER.fullmatch(authorization[0].strip())
        if match is None:
            raise NotSignedIn("The Authorization header must read `Bearer <API key or access token>`.")
        bearer = match[1]
    authenticator = cast(Authenticator, request.app.state.authenticator)
    return await in_thread(
        authenticator.authenticate, bearer=bearer, api_key=api_keys[0] if api_keys else None
    )


SignedIn = Annotated[Caller, Depends(_signed_in)]
