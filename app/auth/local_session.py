"""The session of somebody who signed in by password: all of it is in a signed cookie, nothing in one process.

The cookie says who and since when. Whether the user still exists and the session was not signed out is asked of the
accounts with each use.
"""

from __future__ import annotations

import hashlib
import hmac
import math
import time
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import jwt

from services.errors import NotSignedIn

if TYPE_CHECKING:
    from services.accounts.local_users import LocalUsers
    from services.build import Studio

# Where the form is posted to.
SIGN_IN_PATH = "/auth/local"
COOKIE = "atelier_session"
NOTICE_COOKIE = "atelier_sign_in"
SESSION_S = 12 * 3600
# A page is there, and has said what the notice holds, long before.
NOTICE_S = 60
# The clocks of two tasks may differ by this.
CLOCK_SKEW_S = 60
EXPIRED = "session_expired"
ALGORITHM = "HS256"
LONGEST_COOKIE = 2000


@dataclass(frozen=True)
class LocalSession:
    """Whose session it is, and the second since 1970 in which it began."""

    user_id: str
    began_at: int


@dataclass(frozen=True)
class Notice:
    """Why a sign-in failed (`wrong` or `unavailable`), and the user name that was typed: for the next page to say."""

    reason: str
    username: str


class SignedCookies:
    """Writes and reads the values of the two cookies; every task with the same secret reads those of the others."""

    def __init__(self, secret: str) -> None:
        self._secret = secret.encode()

    def session(self, user_id: str) -> str:
        """The cookie of a session of that user that begins now."""
        return self._sign("session", {"sub": user_id})

    def read_session(self, value: str) -> LocalSession:
        """The session that a cookie holds.

        Raises NotSignedIn: with the code `session_expired` after 12 hours, else for what was not signed here.
        """
        claims, signed_at = self._verify("session", value)
        if time.time() - signed_at > SESSION_S:
            raise NotSignedIn("Your session ended after 12 hours. Sign in again.", code=EXPIRED)
        return LocalSession(user_id=str(claims["sub"]), began_at=signed_at)

    def notice(self, notice: Notice) -> str:
        """The cookie that tells the next page why a sign-in failed."""
        return self._sign("notice", {"sub": notice.reason, "username": notice.username})

    def read_notice(self, value: str) -> Notice | None:
        """What `notice` wrote within the last minute; None for anything else."""
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
        """The claims, and when they were signed. Raises NotSignedIn."""
        try:
            if len(value) > LONGEST_COOKIE:
                raise jwt.InvalidTokenError("longer than any of ours")
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
        # A key for each purpose: no cookie passes for another, nor for what else the secret signs.
        return hmac.new(self._secret, f"atelier local {purpose}".encode(), hashlib.sha256).digest()


def kept_users(studio: Studio) -> LocalUsers:
    """The users that the studio keeps by itself. Raises RuntimeError in an installation with Cognito."""
    if studio.local_users is None:
        raise RuntimeError("The studio keeps its own users with AUTH_MODE=local only.")
    return studio.local_users
