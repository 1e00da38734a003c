"""A real studio over the embedded cloud, with a scripted endpoint in place of SageMaker's."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import replace
from functools import cache

import pytest

from services.accounts.local_users import LocalUsers
from services.aws.session import Clients, make_clients
from services.aws.table import Table
from services.build import Studio, build
from services.records import Job, JobRequest, Role, User
from services.settings import AuthMode, Settings, load_settings
from tests.endpoint import ScriptedEndpoint


@pytest.fixture
def settings(environment: dict[str, str], monkeypatch: pytest.MonkeyPatch) -> Settings:
    for name, value in environment.items():
        monkeypatch.setenv(name, value)
    return load_settings()


@cache
def _clients_for(region: str, url: str | None) -> list[Clients]:
    return []


def real_clients(settings: Settings) -> Clients:
    """The studio's clients, made once for an address: reading boto3's models takes longer than most tests."""
    known = _clients_for(settings.aws_region, settings.aws_endpoint_url)
    if not known:
        known.append(make_clients(settings))
    return known[0]


@pytest.fixture
def endpoint(settings: Settings) -> ScriptedEndpoint:
    return ScriptedEndpoint(real_clients(settings).s3, settings.outputs_bucket)


@pytest.fixture
def studio(settings: Settings, endpoint: ScriptedEndpoint) -> Iterator[Studio]:
    clients = replace(real_clients(settings), sagemaker=endpoint, sagemaker_runtime=endpoint)
    studio = build(settings, clients)
    yield studio
    studio.close()


@pytest.fixture
def table(settings: Settings) -> Table:
    """The studio's table, for what a test does by hand."""
    return Table(real_clients(settings).dynamodb, settings.table)


@pytest.fixture
def local_users(settings: Settings, endpoint: ScriptedEndpoint) -> Iterator[LocalUsers]:
    """Of a studio on the same table that keeps its own list of users."""
    local = settings.model_copy(update={"auth_mode": AuthMode.LOCAL})
    clients = replace(real_clients(settings), sagemaker=endpoint, sagemaker_runtime=endpoint)
    studio = build(local, clients)
    assert studio.local_users is not None
    yield studio.local_users
    studio.close()


@pytest.fixture
def maker() -> User:
    return User(id="a" * 32, email="maker@example.com")


@pytest.fixture
def other() -> User:
    return User(id="b" * 32, email="other@example.com", role=Role.MAKER)


@pytest.fixture
def draw(studio: Studio, endpoint: ScriptedEndpoint, maker: User) -> Callable[..., Job]:
    """`draw(count=2)`: a job of the maker that has succeeded."""

    def drawn(count: int = 1, user: User = maker) -> Job:
        job = studio.jobs.submit(user, JobRequest(prompt="a red apple", seed=7, count=count))
        endpoint.complete(endpoint.accepted[-1])
        studio.completion.finish(user.id, job.id, job.attempt)
        return studio.jobs.get(user, job.id)

    return drawn
