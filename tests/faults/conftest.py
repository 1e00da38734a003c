"""Provides the studio of the wire tests together with its clients, for injecting faults."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace

import pytest

from services.aws.session import Clients
from services.build import Studio, build
from services.settings import Settings
from services.worker import Worker
from tests.endpoint import ScriptedEndpoint
from tests.wire.conftest import endpoint, maker, real_clients, settings

__all__ = ["endpoint", "maker", "settings"]


@pytest.fixture
def clients(settings: Settings, endpoint: ScriptedEndpoint) -> Clients:
    return replace(real_clients(settings), sagemaker=endpoint, sagemaker_runtime=endpoint)


@pytest.fixture
def studio(settings: Settings, clients: Clients) -> Iterator[Studio]:
    studio = build(settings, clients)
    yield studio
    studio.close()


@pytest.fixture
def worker(studio: Studio) -> Worker:
    return Worker(studio, studio.results_queue, studio.metrics)
