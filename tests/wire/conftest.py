"""Fixtures for a real studio over the embedded cloud, with a scripted endpoint in place of SageMaker."""

from __future__ import annotations

from collections.abc import Callable, Iterator

import pytest

from services.accounts.local_users import LocalUsers
from services.aws.table import Table
from services.build import Studio
from services.records import Job, JobRequest, Role, User
from services.settings import AuthMode, Settings, load_settings
from tests.endpoint import ScriptedEndpoint
from tests.studios import running_studio, scripted
from tests.studios import shared_clients as real_clients

__all__ = ["real_clients"]


@pytest.fixture
def settings(environment: dict[str, str], monkeypatch: pytest.MonkeyPatch) -> Settings:
    for name, value in environment.items():
        monkeypatch.setenv(name, value)
    return load_settings()


@pytest.fixture
def endpoint(settings: Settings) -> ScriptedEndpoint:
    return scripted(settings)


@pytest.fixture
def studio(settings: Settings, endpoint: ScriptedEndpoint) -> Iterator[Studio]:
    with running_studio(settings, endpoint) as studio:
        yield studio


@pytest.fixture
def table(settings: Settings) -> Table:
    """The studio's table, for direct access in a test."""
    return Table(real_clients(settings).dynamodb, settings.table)


@pytest.fixture
def local_users(settings: Settings, endpoint: ScriptedEndpoint) -> Iterator[LocalUsers]:
    """The local users of a second studio on the same table, in local sign-in mode."""
    local = settings.model_copy(update={"auth_mode": AuthMode.LOCAL})
    with running_studio(local, endpoint) as studio:
        assert studio.local_users is not None
        yield studio.local_users


@pytest.fixture
def maker() -> User:
    return User(id="a" * 32, email="maker@example.com")


@pytest.fixture
def other() -> User:
    return User(id="b" * 32, email="other@example.com", role=Role.MAKER)


@pytest.fixture
def draw(studio: Studio, endpoint: ScriptedEndpoint, maker: User) -> Callable[..., Job]:
    """Draws a job and returns it when it has succeeded: `draw(count=2)`."""

    def drawn(count: int = 1, user: User = maker) -> Job:
        job = studio.jobs.submit(user, JobRequest(prompt="a red apple", seed=7, count=count))
        endpoint.complete(endpoint.accepted[-1])
        studio.completion.finish(user.id, job.id, job.attempt)
        return studio.jobs.get(user, job.id)

    return drawn
