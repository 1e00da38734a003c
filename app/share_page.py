"""The public page of a shared picture: plain HTML without scripts or a session."""

from __future__ import annotations

import base64
import hashlib
from collections.abc import Callable
from datetime import UTC
from html import escape
from pathlib import Path
from string import Template

from crawleruseragents import is_crawler
from starlette.requests import Request
from starlette.responses import HTMLResponse, Response
from starlette.routing import Route

from app.i18n.texts import current, fitting, speaking, tr
from app.i18n.wording import day
from app.state.share_links import SHARE_PATH
from app.ui.common.plain_text import plain
from services.build import Studio
from services.errors import NotFound, StudioError, Unavailable
from services.images.attachment_records import SharedPicture

ASSETS = Path(__file__).parent / "assets"
STYLE = (ASSETS / "shared.css").read_text(encoding="utf-8")
PAGE = Template((ASSETS / "shared.html").read_text(encoding="utf-8"))
STYLE_HASH = base64.b64encode(hashlib.sha256(STYLE.encode("utf-8")).digest()).decode("ascii")
SMALL_PX = 420
LONGEST_HEADER = 500
# The Fetch standard's name, and what browsers used before it.
PURPOSE_HEADERS = ("sec-purpose", "purpose", "x-purpose", "x-moz")


def create_share_route(studio: Callable[[], Studio]) -> Route:
    """Handles `GET /s/<token>` without sign-in. Every link that does not work gets the same response."""

    def show(request: Request) -> Response:
        # Not async on purpose: Starlette runs it on a thread, so waiting for AWS does not block the event loop.
        with speaking(fitting(_wanted(request.headers.get("accept-language", "")))):
            return answer_in_words(request)

    def answer_in_words(request: Request) -> Response:
        origins = studio().settings.picture_origins
        try:
            picture = studio().shares.look(request.path_params["token"], counts=_is_a_view(request))
        except NotFound:
            title = tr("This picture is not shared, or the link has expired")
            words = tr("The link may have expired, been revoked, or be incomplete.")
            return _answer(tr("Not shared"), _nothing(title, words), 404)
        except StudioError as error:
            title, words = tr("The picture cannot be shown right now"), tr("Try again in a few seconds.")
            answer = _answer(tr("Try again"), _nothing(title, words), 503)
            if isinstance(error, Unavailable):
                answer.headers["retry-after"] = str(error.retry_after_s)
            return answer
        return _answer(tr("A shared picture"), _figure(picture), 200, origins=origins)

    # The path convertor also matches slashes, so that no page of the studio answers below this path.
    return Route(SHARE_PATH + "{token:path}", show, methods=["GET"])


def _is_a_view(request: Request) -> bool:
    """Whether a person looks at the page, and not a program that fetches it for a link preview or ahead of a click.

    Browsers' User-Agents begin with `Mozilla/`; most messengers' do not, and the others say who they are.
    """
    purposes = " ".join(request.headers.get(name, "") for name in PURPOSE_HEADERS).lower()
    agent = request.headers.get("user-agent", "")[:LONGEST_HEADER]
    crawler: bool = is_crawler(agent)
    return (
        request.method == "GET"
        and not any(purpose in purposes for purpose in ("prefetch", "prerender", "preview"))
        and agent.startswith("Mozilla/")
        and not crawler
    )


def _wanted(header: str) -> list[str]:
    """The languages that an Accept-Language header asks for (RFC 9110, 12.5.4), the most wanted first."""
    asked = []
    for part in header[:LONGEST_HEADER].split(","):
        name, _, weight = part.partition(";")
        try:
            asked.append((float(weight.strip().removeprefix("q=") or 1), name.strip()))
        except ValueError:
            continue
    return [name for weight, name in sorted(asked, key=lambda one: -one[0]) if weight > 0 and name]


def _figure(picture: SharedPicture) -> str:
    look = "picture small" if max(picture.width, picture.height) <= SMALL_PX else "picture"
    caption = "" if picture.prompt is None else f"<figcaption>{escape(plain(picture.prompt))}</figcaption>"
    until = picture.expires_at.astimezone(UTC)
    alternative = escape(tr("A picture drawn by a model"))
    shared = escape(tr("Shared until {day}, {time} UTC", day=day(until.date()), time=f"{until:%H:%M}"))
    download = escape(tr("Download"))
    return (
        f'<figure><img class="{look}" src="{escape(picture.url)}" alt="{alternative}" '
        f'width="{picture.width}" height="{picture.height}">'
        f"{caption}</figure>"
        f'<p class="facts"><span>{picture.width} x {picture.height}</span><span>{shared}</span>'
        f'<a href="{escape(picture.download_url)}" rel="noreferrer">{download}</a></p>'
    )


def _nothing(title: str, words: str) -> str:
    return f'<section class="none"><h1>{escape(title)}</h1><p>{escape(words)}</p></section>'


def _answer(title: str, content: str, status: int, *, origins: tuple[str, ...] = ()) -> HTMLResponse:
    images = f"img-src {' '.join(origins)}; " if origins else ""
    return HTMLResponse(
        PAGE.substitute(language=current(), title=escape(title), style=STYLE, content=content),
        status_code=status,
        headers={
            "content-security-policy": (
                f"default-src 'none'; {images}style-src 'sha256-{STYLE_HASH}'; "
                "base-uri 'none'; form-action 'none'; frame-ancestors 'none'"
            ),
            # The URL is the secret: it must not reach other sites, search indexes, or caches.
            "referrer-policy": "no-referrer",
            "x-robots-tag": "noindex, nofollow, noarchive",
            "cache-control": "no-store",
            "content-language": current(),
        },
    )
