"""Fixtures: a running local endpoint with scripted containers, shared by the tests and reset before each."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from local.resources import Resources
from tests.cloud import EmbeddedCloud
from tests.local.sagemaker.running import RunningEndpoint


@pytest.fixture(scope="session")
def shared_endpoint(
    cloud_process: EmbeddedCloud, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[RunningEndpoint]:
    """One process of `local.sagemaker` for all tests that do not kill it."""
    endpoint = RunningEndpoint(cloud_process, tmp_path_factory.mktemp("sagemaker"))
    yield endpoint
    endpoint.stop()


@pytest.fixture
def endpoint(shared_endpoint: RunningEndpoint) -> RunningEndpoint:
    """The shared endpoint with an empty queue, zeroed counters, and no running container."""
    # The endpoint first: requests left in flight by an earlier test must not reach the new queue.
    shared_endpoint.reset()
    shared_endpoint.clean_cloud()
    return shared_endpoint


@pytest.fixture
def own_endpoint(
    cloud_process: EmbeddedCloud, resources: Resources, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[RunningEndpoint]:
    """An endpoint that a test may kill, not started yet."""
    endpoint = RunningEndpoint(cloud_process, tmp_path_factory.mktemp("own"), start=False)
    endpoint.queue_url = resources.results_queue_url
    yield endpoint
    endpoint.stop()
