"""Tests of the page behind a shared link, as visitors and attackers use it, over the real services."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import timedelta

import pytest
from starlette.applications import Starlette
from starlette.testclient import TestClient

from app.hosting import middleware
from app.share_page import create_share_route
from app.state.share_links import share_url
from services.aws.table import Table
from services.build import Studio
from services.clock import now
from services.errors import Unavailable
from services.images import shares
from services.records import Image, JobRequest, User
from services.settings import Settings
from tests.endpoint import ScriptedEndpoint
from tests.wire.conftest import endpoint, maker, other, settings, studio

__all__ = ["endpoint", "maker", "other", "settings", "studio"]

PROMPT = '"><script>alert(1)</script> ![x](http://evil.example/x.png) \u202e& more'
HOUR = shares.LIVES[0]


@pytest.fixture
def picture(studio: Studio, endpoint: ScriptedEndpoint, maker: User) -> Image:
    job = studio.jobs.submit(maker, JobRequest(prompt=PROMPT, seed=7))
    endpoint.complete(endpoint.accepted[-1])
    studio.completion.finish(maker.id, job.id, job.attempt)
    return studio.images.get(maker, f"{job.id}-0")


@pytest.fixture
def stranger(studio: Studio, settings: Settings) -> Iterator[TestClient]:
    app = Starlette(routes=[create_share_route(lambda: studio)], middleware=middleware(settings))
    with TestClient(app, base_url=settings.public_url, follow_redirects=False) as client:
        yield client


def path(token: str) -> str:
    return share_url("", token)


def test_a_visitor_with_the_link_sees_the_picture_and_no_account_data(
    stranger: TestClient, studio: Studio, maker: User, picture: Image
) -> None:
    new = studio.shares.create(maker, picture.id, lives=HOUR)
    answer = stranger.get(path(new.token), headers={"accept": "text/html"})
    assert answer.status_code == 200
    assert f'src="{studio.settings.picture_origins[0]}/' in answer.text
    for private in ("evil.example", maker.id, maker.email, picture.id, picture.job_id, new.token, "pocket"):
        assert private not in answer.text
    assert "set-cookie" not in answer.headers
    assert stranger.head(path(new.token)).status_code == 200


def test_the_headers_keep_browsers_crawlers_and_caches_from_leaking_the_address(
    stranger: TestClient, studio: Studio, maker: User, picture: Image
) -> None:
    new = studio.shares.create(maker, picture.id, lives=HOUR)
    for token in (new.token, "A" * 32):
        headers = stranger.get(path(token)).headers
        assert headers["referrer-policy"] == "no-referrer"
        assert "noindex" in headers["x-robots-tag"]
        assert headers["cache-control"] == "no-store"
        assert headers["x-content-type-options"] == "nosniff" and headers["x-frame-options"] == "DENY"
        policy = headers["content-security-policy"]
        assert policy.startswith("default-src 'none'; ") and "frame-ancestors 'none'" in policy
        assert "script-src" not in policy and "unsafe-inline" not in policy


def test_a_prompt_that_was_added_is_shown_as_plain_text(
    stranger: TestClient, studio: Studio, maker: User, picture: Image
) -> None:
    new = studio.shares.create(maker, picture.id, lives=HOUR, with_prompt=True)
    body = stranger.get(path(new.token)).text
    assert "&lt;script&gt;alert(1)&lt;/script&gt;" in body and "<script" not in body
    assert "⟨RLO⟩" in body and "\u202e" not in body


def test_unknown_malformed_revoked_expired_and_deleted_links_get_the_same_answer(
    stranger: TestClient, studio: Studio, maker: User, picture: Image, monkeypatch: pytest.MonkeyPatch
) -> None:
    revoked, ending = (studio.shares.create(maker, picture.id, lives=HOUR) for _ in range(2))
    studio.shares.revoke(maker, revoked.share.id)
    tokens = ["A" * 32, "x", "..%2f..%2fetc", "%00", "'%20OR%201=1", revoked.token, ending.token.swapcase()]
    answers = [stranger.get(path(token)) for token in tokens]
    assert stranger.get(path(ending.token)).status_code == 200
    at = now() + HOUR + timedelta(seconds=1)
    monkeypatch.setattr("services.images.shares.now", lambda: at)
    answers.append(stranger.get(path(ending.token)))
    monkeypatch.undo()
    studio.trash.put_many(maker, [picture.id])
    answers.append(stranger.get(path(ending.token)))
    studio.trash.empty(maker)
    answers.append(stranger.get(path(ending.token)))
    for answer in answers:
        answer.headers.pop("x-request-id")
    assert {answer.status_code for answer in answers} == {404}
    assert len({answer.text for answer in answers}) == 1
    assert len({tuple(sorted(answer.headers.items())) for answer in answers}) == 1
    assert "src=" not in answers[0].text


def test_a_guessed_token_costs_at_most_one_read(
    stranger: TestClient, studio: Studio, monkeypatch: pytest.MonkeyPatch
) -> None:
    reads: list[object] = []
    before = Table.get
    monkeypatch.setattr(Table, "get", lambda *key: reads.append(key) or before(*key))
    stranger.get(path("too-short"))
    stranger.get(path("a" * 5000))
    assert reads == []
    stranger.get(path("b" * 32))
    assert len(reads) == 1


def test_only_get_and_head_are_supported(
    stranger: TestClient, studio: Studio, maker: User, picture: Image
) -> None:
    new = studio.shares.create(maker, picture.id, lives=HOUR)
    for method in ("POST", "PUT", "DELETE", "PATCH"):
        assert stranger.request(method, path(new.token)).status_code == 405
    assert stranger.get(path(new.token)).status_code == 200


def test_an_outage_is_reported_as_retryable(
    stranger: TestClient, studio: Studio, monkeypatch: pytest.MonkeyPatch
) -> None:
    def away(_: str, *, counts: bool) -> None:
        raise Unavailable("DynamoDB did not answer (secret detail).")

    monkeypatch.setattr(studio.shares, "look", away)
    answer = stranger.get(path("A" * 32))
    assert (answer.status_code, answer.headers["retry-after"]) == (503, "5")
    assert "secret detail" not in answer.text


@pytest.mark.parametrize(
    ("asked", "spoken"),
    [
        ("de-AT,de;q=0.9,en;q=0.5", "de"),
        ("es, en;q=0.3, fr;q=0.8", "fr"),
        ("fr;q=0, de;q=0.1", "de"),
        ("nl", "en"),
        ("", "en"),
        ("*;q=nan, <script>;q=1, ../../etc, de;q=x" + ",x" * 4000, "en"),
    ],
)
def test_the_page_uses_the_browsers_preferred_language(stranger: TestClient, asked: str, spoken: str) -> None:
    answer = stranger.get(path("A" * 32), headers={"accept-language": asked})
    assert answer.status_code == 404 and f'<html lang="{spoken}">' in answer.text
    assert answer.headers["content-language"] == spoken


BROWSER = "Mozilla/5.0 (X11; Linux x86_64; rv:140.0) Gecko/20100101 Firefox/140.0"
IN_AN_APP = (
    "Mozilla/5.0 (iPhone; CPU iPhone OS 18_0 like Mac OS X) AppleWebKit/605.1.15 (KHTML, like Gecko) Mobile/15E148 "
    "[FBAN/FBIOS;FBAV/500.0]"
)


@pytest.mark.parametrize(
    ("method", "headers", "views"),
    [
        ("GET", {"user-agent": BROWSER}, 1),
        ("GET", {"user-agent": IN_AN_APP}, 1),
        ("HEAD", {"user-agent": BROWSER}, 0),
        ("GET", {"user-agent": BROWSER, "sec-purpose": "prefetch;prerender"}, 0),
        ("GET", {"user-agent": BROWSER, "purpose": "prefetch"}, 0),
        ("GET", {"user-agent": BROWSER, "x-purpose": "preview"}, 0),
        ("GET", {"user-agent": BROWSER, "x-moz": "prefetch"}, 0),
        *(
            ("GET", {"user-agent": agent}, 0)
            for agent in (
                "WhatsApp/2.23.20.0",
                "TelegramBot (like TwitterBot)",
                "Slackbot-LinkExpanding 1.0 (+https://api.slack.com/robots)",
                "Mozilla/5.0 (compatible; Discordbot/2.0; +https://discordapp.com)",
                "facebookexternalhit/1.1 (+http://www.facebook.com/externalhit_uatext.php)",
                "Mozilla/5.0 (Macintosh; Intel Mac OS X 10_11_1) AppleWebKit/601.2.4 (KHTML, like Gecko) "
                "Version/9.0.1 Safari/601.2.4 facebookexternalhit/1.1 Facebot Twitterbot/1.0",
                "Mozilla/5.0 (Windows NT 6.1; WOW64) SkypeUriPreview Preview/0.5",
                "kakaotalk-scrap/1.0; +https://devtalk.kakao.com/",
                "curl/8.5.0",
                "",
            )
        ),
    ],
)
def test_only_people_are_counted_as_views(
    stranger: TestClient,
    studio: Studio,
    maker: User,
    picture: Image,
    method: str,
    headers: dict[str, str],
    views: int,
) -> None:
    new = studio.shares.create(maker, picture.id, lives=HOUR)
    assert stranger.request(method, path(new.token), headers=headers).status_code == 200
    (listed,) = (each for each in studio.shares.list(maker, picture.id) if each.id == new.share.id)
    assert listed.views == views
