"""Creates studios over the embedded cloud for tests in this process.

boto3's clients are created once per process, because loading their models takes longer than most tests. The tests of
a file may share settings; each test then has its own users.
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

# By region and endpoint URL. Clients hold no state of a test.
_clients: dict[tuple[str, str | None], Clients] = {}


def shared_clients(settings: Settings) -> Clients:
    """Returns this process's clients for the cloud that `settings` names."""
    address = (settings.aws_region, settings.aws_endpoint_url)
    if address not in _clients:
        _clients[address] = make_clients(settings)
    return _clients[address]


def scripted(settings: Settings) -> ScriptedEndpoint:
    """Returns an endpoint that writes to the outputs bucket of `settings`."""
    return ScriptedEndpoint(shared_clients(settings).s3, settings.outputs_bucket)


@contextmanager
def running_studio(settings: Settings, endpoint: ScriptedEndpoint) -> Iterator[Studio]:
    """Yields a studio that uses `endpoint` as its SageMaker, and closes it afterwards."""
    clients = replace(shared_clients(settings), sagemaker=endpoint, sagemaker_runtime=endpoint)
    studio = build(settings, clients)
    try:
        yield studio
    finally:
        studio.close()


@contextmanager
def settings_of_a_file(cloud: EmbeddedCloud) -> Iterator[Settings]:
    """Yields one studio's settings for all tests of a file, in an empty cloud; also sets the environment."""
    cloud.reset()
    with pytest.MonkeyPatch.context() as patch:
        for name, value in studio_environment(cloud.make_resources()).items():
            patch.setenv(name, value)
        yield load_settings()


def new_user(email: str, *, role: Role = Role.MAKER, name: str = "") -> User:
    """Returns a user with a new id; the email address may be shared."""
    return User(id=secrets.token_hex(16), email=email, role=role, name=name)


def pool_user(settings: Settings, *, admin: bool = False) -> str:
    """Creates a user in the embedded user pool and returns the sub."""
    return make_user(
        shared_clients(settings).cognito,
        settings.cognito_pool_id,
        email=f"{secrets.token_hex(8)}@example.com",
        password=new_password(),
        group=ADMINS if admin else MAKERS,
    )


def cancel_open_jobs(studio: Studio, user: User) -> None:
    """Cancels a user's open jobs, which would take places in the next test's dispatch window."""
    for job in studio.jobs.open(user):
        studio.jobs.cancel(user, job.id)
