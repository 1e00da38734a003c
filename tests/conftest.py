"""Fixtures every suite may use: the embedded cloud, what is in it, and an environment without the user's own AWS."""

from __future__ import annotations

import os
from collections.abc import Iterator
from pathlib import Path

import pytest

from local.resources import Resources
from tests.cloud import EmbeddedCloud, studio_environment
from tests.loopback import sitecustomize as loopback

loopback.install()
os.environ["PYTHONPATH"] = os.pathsep.join(
    filter(None, [str(Path(loopback.__file__).parent), os.environ.get("PYTHONPATH")])
)


@pytest.fixture(autouse=True, scope="session")
def _no_aws_of_the_users_own() -> Iterator[None]:
    """boto3 without explicit settings must fail in a test, never reach the account of whoever runs it."""
    with pytest.MonkeyPatch.context() as patch:
        for name in [name for name in os.environ if name.startswith(("AWS_", "ATELIER_", "STREAMLIT_"))]:
            patch.delenv(name)
        for name in ("AWS_CONFIG_FILE", "AWS_SHARED_CREDENTIALS_FILE"):
            patch.setenv(name, "/dev/null")
        patch.setenv("AWS_EC2_METADATA_DISABLED", "true")
        # Straight to loopback, whatever proxy the machine uses.
        patch.setenv("NO_PROXY", "localhost,127.0.0.1")
        yield


@pytest.fixture(scope="session")
def cloud_process(tmp_path_factory: pytest.TempPathFactory) -> Iterator[EmbeddedCloud]:
    """One embedded cloud for all tests of this process (each xdist worker has its own)."""
    cloud = EmbeddedCloud(tmp_path_factory.mktemp("cloud"))
    yield cloud
    cloud.child.kill()


@pytest.fixture
def cloud(cloud_process: EmbeddedCloud) -> EmbeddedCloud:
    """The embedded cloud, empty."""
    cloud_process.reset()
    return cloud_process


@pytest.fixture
def resources(cloud: EmbeddedCloud) -> Resources:
    """The studio's resources in an otherwise empty embedded cloud."""
    return cloud.make_resources()


@pytest.fixture
def environment(resources: Resources) -> dict[str, str]:
    """A complete environment for `load_settings`; nobody listens at its SageMaker address."""
    return studio_environment(resources)
