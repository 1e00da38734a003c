"""The session after a password sign-in: stored entirely in a signed cookie, not in a process.

The cookie holds the user and the start time. Each use checks with the accounts that the user still exists and that
the session was not signed out.
"""

from __future__ import annotations

import hashlib
import hmac
import math
import secrets
import time
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import jwt

from services.errors import NotSignedIn

if TYPE_CHECKING:
    from services.accounts.local_users import LocalUsers
    from services.build import Studio

# The URL the form is posted to.
SIGN_IN_PATH = "/auth/local"
COOKIE = "atelier_session"
NOTICE_COOKIE = "atelier_sign_in"
# Marks a browser in which somebody signed in; signs nobody in.
DEVICE_COOKIE = "atelier_device"
SESSION_S = 12 * 3600
DEVICE_S = 180 * 24 * 3600
# Long enough for the next page to load and show the notice.
NOTICE_S = 60
# The tolerated clock difference between two tasks.
CLOCK_SKEW_S = 60
EXPIRED = "session_expired"
ALGORITHM = "HS256"
LONGEST_COOKIE = 2000


@dataclass(frozen=True)
class LocalSession:
    """The session's user, start time (Unix seconds), and the epoch of the user's record in which it started."""

    user_id: str
    began_at: int
    epoch: int = 0


@dataclass(frozen=True)
class Notice:
    """Why a sign-in failed (`wrong` or `unavailable`) and the typed username, for the next page to show."""

    reason: str
    username: str


class SignedCookies:
    """Writes and reads the cookies; all tasks with the same secret can read them."""

    def __init__(self, secret: str) -> None:
        self._secret = secret.encode()

    def session(self, user_id: str, epoch: int = 0) -> str:
        """Returns the cookie of a session of that user that starts now."""
        return self._sign("session", {"sub": user_id, "epoch": epoch})

    def read_session(self, value: str) -> LocalSession:
        """Returns the session in a cookie.

        Raises NotSignedIn, with the code `session_expired` after 12 hours; also for a cookie that was not signed here.
        """
        claims, signed_at = self._verify("session", value)
        if time.time() - signed_at > SESSION_S:
            raise NotSignedIn("Your session ended after 12 hours. Sign in again.", code=EXPIRED)
        epoch = claims.get("epoch", 0)
        # A cookie of a release without epochs is valid until the user's first new password.
        return LocalSession(str(claims["sub"]), signed_at, epoch if type(epoch) is int else -1)

    def device(self, user_id: str) -> str:
        """Returns the cookie that marks a browser in which that user just signed in."""
        return self._sign("device", {"sub": user_id, "jti": secrets.token_hex(16)})

    def read_device(self, value: str, user_id: str) -> str | None:
        """Returns the id of a browser in which that user signed in within half a year, else None."""
        try:
            claims, signed_at = self._verify("device", value)
        except NotSignedIn:
            return None
        known = claims["sub"] == user_id and time.time() - signed_at <= DEVICE_S
        return str(claims.get("jti", "")) if known else None

    def notice(self, notice: Notice) -> str:
        """Returns the cookie that tells the next page why a sign-in failed."""
        return self._sign("notice", {"sub": notice.reason, "username": notice.username})

    def read_notice(self, value: str) -> Notice | None:
        """Returns what `notice` wrote within the last minute, else None."""
        try:
            claims, signed_at = self._verify("notice", value)
        except NotSignedIn:
            return None
        if time.time() - signed_at > NOTICE_S:
            return None
        return Notice(reason=str(claims["sub"]), username=str(claims.get("username", "")))

    def _sign(self, purpose: str, claims: dict[str, Any]) -> str:
        return jwt.encode(claims | {"iat": int(time.time())}, self._key(purpose), algorithm=ALGORITHM)

    def _verify(self, purpose: str, value: str) -> tuple[dict[str, Any], int]:
        """Returns the claims and when they were signed. Raises NotSignedIn."""
        try:
            if len(value) > LONGEST_COOKIE:
                raise jwt.InvalidTokenError("longer than any cookie of the studio")
            claims = jwt.decode(
                value,
                self._key(purpose),
                algorithms=[ALGORITHM],
                leeway=CLOCK_SKEW_S,
                options={"require": ["sub", "iat"]},
            )
            signed_at = claims["iat"]
            if isinstance(signed_at, bool) or not math.isfinite(signed_at):
                raise jwt.InvalidTokenError("signed at no time")
        except (jwt.PyJWTError, ValueError, TypeError, RecursionError) as exc:
            raise NotSignedIn("The sign-in carries no usable identity. Sign in again.") from exc
        return claims, int(signed_at)

    def _key(self, purpose: str) -> bytes:
        # One key per purpose, so that no signed value is valid for another purpose.
        return hmac.new(self._secret, f"atelier local {purpose}".encode(), hashlib.sha256).digest()


def kept_users(studio: Studio) -> LocalUsers:
    """Returns the studio's own user list. Raises RuntimeError in an installation with Cognito."""
    if studio.local_users is None:
        raise RuntimeError("The studio keeps its own users with AUTH_MODE=local only.")
    return studio.local_users
