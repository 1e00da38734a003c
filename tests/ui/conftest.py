"""Fixtures: pages run by AppTest over the real services on the embedded cloud; the test plays the model."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from streamlit.testing.v1 import AppTest

from app.auth import session
from services.aws.user_pool import PoolUser, UserPool
from services.build import Studio
from services.records import Job, JobRequest, User
from services.settings import Settings
from services.worker import Worker
from tests.cloud import EmbeddedCloud
from tests.endpoint import ScriptedEndpoint
from tests.studios import cancel_open_jobs, new_user, running_studio, scripted, settings_of_a_file

ROOT = Path(__file__).resolve().parents[2]
TIMEOUT_S = 20.0


def claims(user: User, **changed: Any) -> dict[str, Any]:
    """Return the ID token claims of a user who has just signed in."""
    sub = user.id
    return {
        "is_logged_in": True,
        "sub": f"{sub[:8]}-{sub[8:12]}-{sub[12:16]}-{sub[16:20]}-{sub[20:]}",
        "email": user.email,
        "auth_time": int(time.time()),
        **changed,
    }


@pytest.fixture(scope="module")
def settings(cloud_process: EmbeddedCloud) -> Iterator[Settings]:
    """Settings of one studio shared by all tests in a file; a separate user isolates each test."""
    with settings_of_a_file(cloud_process) as settings:
        yield settings


@pytest.fixture(scope="module")
def endpoint(settings: Settings) -> ScriptedEndpoint:
    return scripted(settings)


@pytest.fixture(scope="module")
def studio(settings: Settings, endpoint: ScriptedEndpoint) -> Iterator[Studio]:
    with running_studio(settings, endpoint) as studio:
        yield studio


@pytest.fixture(autouse=True)
def pool_of_admins(monkeypatch: pytest.MonkeyPatch) -> None:
    """A pool in which everybody is an enabled admin: the users of these tests are only in their claims."""
    monkeypatch.setattr(UserPool, "find", lambda _, user_id: PoolUser(user_id, True, ("admins",)))


@pytest.fixture
def maker(studio: Studio) -> Iterator[User]:
    yield from _somebody(studio, "maker@example.com")


@pytest.fixture
def other(studio: Studio) -> Iterator[User]:
    yield from _somebody(studio, "other@example.com")


def _somebody(studio: Studio, email: str) -> Iterator[User]:
    user = new_user(email)
    yield user
    cancel_open_jobs(studio, user)


@pytest.fixture
def worker(studio: Studio) -> Worker:
    return Worker(studio, studio.results_queue, studio.metrics)


@pytest.fixture
def open_page(studio: Studio, maker: User, monkeypatch: pytest.MonkeyPatch) -> Callable[..., AppTest]:
    """`open_page("app/pages/gallery.py")`: runs the page once as the maker.

    `user` replaces the claims (`{"is_logged_in": False}` for signed out); `query` sets the query parameters.
    """
    monkeypatch.setattr(session, "_studio", studio)

    def open_it(
        page: str = "app/pages/generate.py",
        *,
        user: dict[str, Any] | None = None,
        query: dict[str, str] | None = None,
    ) -> AppTest:
        at = AppTest.from_file(str(ROOT / "streamlit_app.py"), default_timeout=TIMEOUT_S)
        at.user = claims(maker) if user is None else user
        for name, value in (query or {}).items():
            at.query_params[name] = value
        if page != "app/pages/generate.py":
            # AppTest knows the registered pages only after a run, which is made signed out.
            signed_in, at.user = at.user, {"is_logged_in": False}
            at.run()
            at.user = signed_in
            at.switch_page(page)
            for name, value in (query or {}).items():
                at.query_params[name] = value
        return at.run()

    return open_it


@pytest.fixture
def in_dialog(studio: Studio, maker: User) -> Callable[..., AppTest]:
    """`in_dialog(content, *more)`: an app that shows the maker only the content of a dialog.

    AppTest reruns the whole script on a click inside a dialog, which would close it; a browser does not.
    """

    def page(*arguments: object) -> None:
        # AppTest copies the source of this function, so names of this module are not available inside.
        from typing import Any, cast

        cast(Any, arguments[0])(*arguments[1:])

    def content_of(content: Callable[..., None], *more: Any) -> AppTest:
        return AppTest.from_function(page, default_timeout=TIMEOUT_S, args=(content, studio, maker, *more))

    return content_of


@pytest.fixture
def draw(studio: Studio, endpoint: ScriptedEndpoint, maker: User) -> Callable[..., Job]:
    """`draw("a red apple", count=2)`: a succeeded job of the maker with stored pictures."""

    def drawn(prompt: str = "a red apple", **asked: Any) -> Job:
        job = studio.jobs.submit(maker, JobRequest(prompt=prompt, **asked))
        endpoint.complete(endpoint.accepted[-1])
        studio.completion.finish(job.user_id, job.id, job.attempt)
        return studio.jobs.get(maker, job.id)

    return drawn


def words(at: AppTest) -> str:
    """Return all texts of the page."""
    kinds = (
        "title",
        "subheader",
        "markdown",
        "caption",
        "text",
        "error",
        "warning",
        "info",
        "success",
        "code",
    )
    return "\n".join(str(getattr(element, "value", "")) for kind in kinds for element in at.get(kind))


def components(at: AppTest) -> str:
    """Return the data of the page's components as JSON."""
    return "\n".join(element.proto.json for element in at.get("bidi_component"))
