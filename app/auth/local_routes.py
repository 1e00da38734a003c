"""The two routes of the password sign-in: one receives the form, the other clears the cookie after sign-out.

The server sets and clears the cookie, which is HttpOnly, so that no script can read it. Both routes respond with a
redirect to a page.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from http import HTTPStatus
from typing import TYPE_CHECKING
from urllib.parse import parse_qs

from anyio import CapacityLimiter, to_thread
from starlette.requests import ClientDisconnect, Request
from starlette.responses import PlainTextResponse, RedirectResponse, Response
from starlette.routing import Route

from app.auth.local_session import (
    COOKIE,
    DEVICE_COOKIE,
    DEVICE_S,
    NOTICE_COOKIE,
    NOTICE_S,
    SESSION_S,
    SIGN_IN_PATH,
    Notice,
    SignedCookies,
    kept_users,
)
from app.auth.passwords import find_name, find_user, may_be_right
from app.middleware.same_origin import is_of_origin
from app.middleware.sign_in_redirects import LOGOUT_PATH, page_of_referer
from services.errors import LimitReached, NotFound, NotSignedIn, StudioError
from services.logs import event

if TYPE_CHECKING:
    from services.accounts.local_users import LocalUser
    from services.build import Studio

# The size of a form whose name and password are fully percent-encoded.
MAX_BODY_BYTES = 4096
LONGEST_NOTED_NAME = 60
FORM = "application/x-www-form-urlencoded"
# bcrypt takes a quarter of a second of CPU time, so only this many sign-ins are checked in parallel. This keeps
# the pages fast and limits how many passwords can be tried per second.
CHECKED_AT_ONCE = 2


def create_local_sign_in_routes(get_studio: Callable[[], Studio]) -> list[Route]:
    """`POST /auth/local` with the fields `username` and `password`, and `GET /auth/logout`."""
    limiter = CapacityLimiter(CHECKED_AT_ONCE)

    async def sign_in(request: Request) -> Response:
        studio = get_studio()
        # Prevents login CSRF: another site must not sign its visitor in as a different user.
        if not is_of_origin(request.headers, studio.settings.public_url):
            return _refusal(HTTPStatus.FORBIDDEN)
        fields = await _read_form(request)
        if fields is None:
            return _refusal(HTTPStatus.BAD_REQUEST)
        username, password = fields.get("username", ""), fields.get("password", "")
        wanted = page_of_referer(request.headers.get("referer", ""), request.headers.get("host", ""))
        answer = _redirect(wanted or "/")
        try:
            attempt = Attempt(username, _address(request), request.cookies.get(DEVICE_COOKIE, ""))
            user = await to_thread.run_sync(_check, studio, attempt, password, limiter=limiter)
        except LimitReached as error:
            answer.headers["retry-after"] = str(error.retry_after_s)
            _set_notice(answer, studio, Notice("delayed", username))
            return answer
        except StudioError:
            _set_notice(answer, studio, Notice("unavailable", username))
            return answer
        if user is None:
            _set_notice(answer, studio, Notice("wrong", username))
            return answer
        _set(answer, studio, COOKIE, _cookies(studio).session(user.user_id, user.epoch), SESSION_S)
        _set(answer, studio, DEVICE_COOKIE, _cookies(studio).device(user.user_id), DEVICE_S)
        _clear(answer, studio, NOTICE_COOKIE)
        return answer

    async def sign_out(request: Request) -> Response:
        studio = get_studio()
        answer = _redirect("/")
        # An active session keeps its cookie, because a link on another site must not sign anyone out.
        if not await to_thread.run_sync(_goes_on, studio, request.cookies.get(COOKIE, ""), limiter=limiter):
            _clear(answer, studio, COOKIE)
        return answer

    return [
        Route(SIGN_IN_PATH, sign_in, methods=["POST"]),
        # The page sends the browser here after it has ended the session.
        Route(LOGOUT_PATH, sign_out, methods=["GET"]),
    ]


@dataclass(frozen=True)
class Attempt:
    """Who wants to sign in, from which address, and the cookie that may mark a known browser."""

    username: str
    address: str
    device_cookie: str


def _check(studio: Studio, attempt: Attempt, password: str) -> LocalUser | None:
    """Returns the user of that name and password, or None. Four AWS calls and a quarter of a second of CPU time.

    Raises LimitReached, without a look at the password, when too many attempts failed before.
    """
    users = kept_users(studio).all()
    named = find_name(users, attempt.username)
    device = None if named is None else _cookies(studio).read_device(attempt.device_cookie, named.user_id)
    if may_be_right(password):
        studio.sign_in_backoff.begin(attempt.username, attempt.address, device=device)
    user = find_user(users, attempt.username, password)
    if user is None:
        event("local_sign_in_refused")
    else:
        studio.sign_in_backoff.succeeded(attempt.username, attempt.address, device=device)
        event("local_sign_in", user=user.user_id)
    return user


def _address(request: Request) -> str:
    return "" if request.client is None else request.client.host


def _goes_on(studio: Studio, cookie: str) -> bool:
    """Whether a cookie's session is still signed in; False if it cannot be checked. Three AWS calls."""
    try:
        session = _cookies(studio).read_session(cookie)
        users = kept_users(studio).all().values()
        if not any(user.user_id == session.user_id and user.epoch == session.epoch for user in users):
            return False
        studio.accounts.user(session.user_id, began_at=session.began_at)
    except (NotSignedIn, NotFound):
        return False
    return True


async def _read_form(request: Request) -> dict[str, str] | None:
    """Returns the fields of a small form without duplicates; None for any other body."""
    if request.headers.get("content-type", "").split(";")[0].strip().lower() != FORM:
        return None
    body = b""
    try:
        async for part in request.stream():
            body += part
            if len(body) > MAX_BODY_BYTES:
                return None
        fields = parse_qs(body.decode("ascii"), keep_blank_values=True, errors="strict", max_num_fields=8)
    except (ClientDisconnect, ValueError):
        return None
    if any(len(values) != 1 for values in fields.values()):
        return None
    return {name: values[0] for name, values in fields.items()}


def _redirect(path: str) -> Response:
    # 303 makes the browser request the page by GET, whatever the method was.
    return RedirectResponse(path, status_code=303, headers={"cache-control": "no-store"})


def _refusal(status: HTTPStatus) -> Response:
    return PlainTextResponse(status.phrase, status_code=status)


def _set_notice(answer: Response, studio: Studio, notice: Notice) -> None:
    short = Notice(notice.reason, notice.username[:LONGEST_NOTED_NAME])
    _set(answer, studio, NOTICE_COOKIE, _cookies(studio).notice(short), NOTICE_S)


def _set(answer: Response, studio: Studio, name: str, value: str, max_age_s: int) -> None:
    answer.set_cookie(
        name, value, max_age=max_age_s, path="/", httponly=True, samesite="lax", secure=_is_https(studio)
    )


def _clear(answer: Response, studio: Studio, name: str) -> None:
    answer.delete_cookie(name, path="/", httponly=True, samesite="lax", secure=_is_https(studio))


def _is_https(studio: Studio) -> bool:
    return studio.settings.public_url.startswith("https://")


def _cookies(studio: Studio) -> SignedCookies:
    return SignedCookies(studio.settings.cookie_secret.get_secret_value())
