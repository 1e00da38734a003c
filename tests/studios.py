"""Studios over the embedded cloud for tests in this process: what they share, and what each has of its own.

boto3's clients are made once a process, since reading their models takes longer than most tests. Settings may be shared
by a file of tests: what keeps its tests apart is a user of each one's own.
"""

from __future__ import annotations

import secrets
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace

import pytest

from local.signin import ADMINS, MAKERS, make_user, new_password
from services.aws.session import Clients, make_clients
from services.build import Studio, build
from services.records import Role, User
from services.settings import Settings, load_settings
from tests.cloud import EmbeddedCloud, studio_environment
from tests.endpoint import ScriptedEndpoint

# By region and address. They hold nothing of a test.
_clients: dict[tuple[str, str | None], Clients] = {}


def shared_clients(settings: Settings) -> Clients:
    """The clients of this process for the cloud that `settings` names."""
    address = (settings.aws_region, settings.aws_endpoint_url)
    if address not in _clients:
        _clients[address] = make_clients(settings)
    return _clients[address]


def scripted(settings: Settings) -> ScriptedEndpoint:
    """An endpoint that writes to the outputs bucket of `settings`."""
    return ScriptedEndpoint(shared_clients(settings).s3, settings.outputs_bucket)


@contextmanager
def running_studio(settings: Settings, endpoint: ScriptedEndpoint) -> Iterator[Studio]:
    """A studio whose SageMaker is `endpoint`, until the end of the block."""
    clients = replace(shared_clients(settings), sagemaker=endpoint, sagemaker_runtime=endpoint)
    studio = build(settings, clients)
    try:
        yield studio
    finally:
        studio.close()


@contextmanager
def settings_of_a_file(cloud: EmbeddedCloud) -> Iterator[Settings]:
    """The settings of one studio for all tests of a file, in an otherwise empty cloud, and in the environment."""
    cloud.reset()
    with pytest.MonkeyPatch.context() as patch:
        for name, value in studio_environment(cloud.make_resources()).items():
            patch.setenv(name, value)
        yield load_settings()


def new_user(email: str, *, role: Role = Role.MAKER, name: str = "") -> User:
    """Somebody nobody else is, though others may have the same address."""
    return User(id=secrets.token_hex(16), email=email, role=role, name=name)


def pool_user(settings: Settings, *, admin: bool = False) -> str:
    """Makes a user in the embedded user pool; returns the sub."""
    return make_user(
        shared_clients(settings).cognito,
        settings.cognito_pool_id,
        email=f"{secrets.token_hex(8)}@example.com",
        password=new_password(),
        group=ADMINS if admin else MAKERS,
    )


def cancel_open_jobs(studio: Studio, user: User) -> None:
    """Cancels them: one left open would take a place in the dispatch window from the next test."""
    for job in studio.jobs.open(user):
        studio.jobs.cancel(user, job.id)
