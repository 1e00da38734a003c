"""Shared fixtures: the embedded cloud, its resources, and an environment without the developer's AWS settings."""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path

import pytest

from local.resources import Resources
from tests.cloud import EmbeddedCloud, studio_environment
from tests.loopback import sitecustomize as loopback

with suppress(ImportError):  # The model server's environment has no Hypothesis.
    from hypothesis import settings

    # The same examples in every run, no database on disk, and no limit that a busy machine can break.
    settings.register_profile("steady", derandomize=True, database=None, deadline=None)
    settings.load_profile("steady")

loopback.install()
os.environ["PYTHONPATH"] = os.pathsep.join(
    filter(None, [str(Path(loopback.__file__).parent), os.environ.get("PYTHONPATH")])
)


@pytest.fixture(autouse=True, scope="session")
def _no_aws_of_the_users_own() -> Iterator[None]:
    """Removes AWS settings, so that boto3 without explicit ones fails and never reaches the developer's account."""
    with pytest.MonkeyPatch.context() as patch:
        for name in [name for name in os.environ if name.startswith(("AWS_", "ATELIER_", "STREAMLIT_"))]:
            patch.delenv(name)
        for name in ("AWS_CONFIG_FILE", "AWS_SHARED_CREDENTIALS_FILE"):
            patch.setenv(name, "/dev/null")
        patch.setenv("AWS_EC2_METADATA_DISABLED", "true")
        # Connections to loopback bypass the machine's proxy.
        patch.setenv("NO_PROXY", "localhost,127.0.0.1")
        yield


@pytest.fixture(scope="session")
def cloud_process(tmp_path_factory: pytest.TempPathFactory) -> Iterator[EmbeddedCloud]:
    """The embedded cloud that all tests of this process share (each xdist worker has its own)."""
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
    """A complete environment for `load_settings`; connections to its SageMaker address are refused."""
    return studio_environment(resources)
