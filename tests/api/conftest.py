"""Fixtures for the API over the real services, mounted at /v1 as in the app, with three users.

The tests of a file share the cloud's resources; each test has its own studio, endpoint and users.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from typing import Any
from uuid import UUID

import pytest
from fastapi.testclient import TestClient
from starlette.applications import Starlette
from starlette.middleware import Middleware
from starlette.routing import Mount

from app.api import create_api, create_health_route
from app.middleware.unread_body import UnreadBody
from services.build import Studio
from services.records import JobStatus, Role, User
from services.settings import Settings
from services.worker import Worker
from tests.api.forger import CLIENT_ID, ISSUER, KID, Forger, KeyServer
from tests.api.traffic import Traffic
from tests.cloud import PUBLIC_URL, EmbeddedCloud
from tests.endpoint import Accepted, ScriptedEndpoint
from tests.studios import (
    cancel_open_jobs,
    pool_user,
    running_studio,
    scripted,
    settings_of_a_file,
    shared_clients,
)


@dataclass(frozen=True)
class Person:
    """A user with an API key."""

    user: User
    key: str

    @property
    def auth(self) -> dict[str, str]:
        return {"Authorization": f"Bearer {self.key}"}

    @property
    def sub(self) -> str:
        """The user's id in Cognito's format."""
        return str(UUID(self.user.id))


@dataclass
class Served:
    """The studio that the API currently serves; a test may replace it."""

    studio: Studio


Finish = Callable[..., None]
Failing = Callable[[object, str, Exception], list[Any]]


def mounted(get_studio: Callable[[], Studio]) -> Starlette:
    """Returns an app with the API and `/healthz` at the same paths as in `app/asgi.py`."""
    return Starlette(
        routes=[create_health_route(get_studio), Mount("/v1", app=create_api(get_studio))],
        middleware=[Middleware(UnreadBody)],
    )


@pytest.fixture(scope="module")
def settings(cloud_process: EmbeddedCloud) -> Iterator[Settings]:
    with settings_of_a_file(cloud_process) as settings:
        yield settings


@pytest.fixture
def endpoint(settings: Settings) -> ScriptedEndpoint:
    return scripted(settings)


@pytest.fixture
def studio(settings: Settings, endpoint: ScriptedEndpoint) -> Iterator[Studio]:
    with running_studio(settings, endpoint) as studio:
        yield studio


@pytest.fixture
def served(studio: Studio) -> Served:
    return Served(studio)


@pytest.fixture
def worker(studio: Studio) -> Worker:
    return Worker(studio, studio.results_queue, studio.metrics)


def person(studio: Studio, letter: str, *, role: Role = Role.MAKER) -> Person:
    """Creates a user named after `letter`, who has signed in once and has an API key."""
    sub = pool_user(studio.settings, admin=role is Role.ADMIN)
    groups = ("admins",) if role is Role.ADMIN else ()
    user = studio.accounts.sign_in(sub=sub, email=f"{letter}@example.com", groups=groups, name=letter.upper())
    return Person(user, studio.accounts.create_key(user, "test").secret)


@pytest.fixture
def alice(studio: Studio) -> Iterator[Person]:
    alice = person(studio, "a")
    yield alice
    cancel_open_jobs(studio, alice.user)


@pytest.fixture
def bob(studio: Studio) -> Iterator[Person]:
    bob = person(studio, "b")
    yield bob
    cancel_open_jobs(studio, bob.user)


@pytest.fixture
def admin(studio: Studio) -> Person:
    return person(studio, "c", role=Role.ADMIN)


@pytest.fixture
def client(served: Served) -> Iterator[TestClient]:
    app = mounted(lambda: served.studio)
    with TestClient(app, base_url=PUBLIC_URL, follow_redirects=False) as client:
        yield client


@pytest.fixture
def traffic(settings: Settings, request: pytest.FixtureRequest) -> Iterator[Traffic]:
    """Records the AWS calls of the test; users are created before."""
    for name in ("alice", "bob", "admin"):
        if name in request.fixturenames:
            request.getfixturevalue(name)
    with Traffic(shared_clients(settings)) as traffic:
        yield traffic


@pytest.fixture
def finish(endpoint: ScriptedEndpoint, worker: Worker) -> Finish:
    """Ends a job at the endpoint and has the worker handle the notification: `finish(job_id)`.

    The job ends with `status`; `change` modifies the container's answer.
    """

    def ended(
        job_id: str,
        status: JobStatus = JobStatus.SUCCEEDED,
        change: Callable[[dict[str, Any]], object] | None = None,
    ) -> None:
        taken = invocation_of(endpoint, job_id)
        if status is JobStatus.SUCCEEDED:
            worker.handle(endpoint.complete(taken, change))
        else:
            worker.handle(endpoint.fail(taken, status="Expired" if status is JobStatus.EXPIRED else "Failed"))

    return ended


def invocation_of(endpoint: ScriptedEndpoint, job_id: str) -> Accepted:
    """Returns the only invocation of a job."""
    (found,) = (taken for taken in endpoint.accepted if job_id in taken.inference_id)
    return found


@pytest.fixture
def failing(monkeypatch: pytest.MonkeyPatch) -> Failing:
    """Makes an operation raise and returns the list of its calls: `failing(studio.jobs, "submit", error)`."""

    def broken(part: object, operation: str, error: Exception) -> list[Any]:
        calls: list[Any] = []

        def fail(*arguments: Any, **named: Any) -> None:
            calls.append((arguments, named))
            raise error

        monkeypatch.setattr(part, operation, fail)
        return calls

    return broken


@pytest.fixture
def looks(studio: Studio, monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """The job id of each progress query."""
    seen: list[str] = []
    watch = studio.live.watch

    def watched(user: User, job_id: str) -> Any:
        seen.append(job_id)
        return watch(user, job_id)

    monkeypatch.setattr(studio.live, "watch", watched)
    return seen


@pytest.fixture(scope="session")
def forger() -> Forger:
    return Forger()


@pytest.fixture
def key_server(forger: Forger) -> Iterator[KeyServer]:
    server = KeyServer({"keys": [forger.jwk(KID)]})
    yield server
    server.close()


@pytest.fixture
def cognito(served: Served, key_server: KeyServer) -> KeyServer:
    """Has the studio accept the tokens of the forger's pool instead of the embedded cloud's."""
    settings = served.studio.settings.model_copy(
        update={
            "cognito_issuer": ISSUER,
            "cognito_client_id": CLIENT_ID,
            "cognito_jwks_url": key_server.url,
        }
    )
    served.studio = replace(served.studio, settings=settings)
    return key_server
