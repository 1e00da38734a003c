"""Tests of price estimates: from measured times, in the unit of the charge, with the job's share of the wake."""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import replace

import pytest

from services.backends import endpoint_status
from services.billing import estimates
from services.build import Studio, build
from services.records import JobRequest, User
from services.worker import Worker
from tests.endpoint import ScriptedEndpoint
from tests.wire.conftest import real_clients

APPLE = JobRequest(prompt="a red apple")


@pytest.fixture
def draw(
    studio: Studio, endpoint: ScriptedEndpoint, maker: User
) -> Callable[[JobRequest, float, float], None]:
    worker = Worker(studio, studio.results_queue, studio.metrics)

    def drawn(request: JobRequest, step_s: float, once_s: float) -> None:
        spec = studio.jobs.submit(maker, request).spec
        denoise = spec.steps * step_s * spec.count
        rest = once_s * spec.count

        def timed(answer: dict[str, object]) -> None:
            answer["gpu_s"] = denoise + rest
            answer["timings"] = {"denoise_s": denoise, "decode_s": rest, "total_s": denoise + rest}

        worker.handle(endpoint.complete(endpoint.accepted[-1], timed))

    return drawn


def later(studio: Studio, endpoint: ScriptedEndpoint) -> Studio:
    """Returns the studio of another process, which reads the measured times again."""
    clients = replace(real_clients(studio.settings), sagemaker=endpoint, sagemaker_runtime=endpoint)
    return build(studio.settings, clients)


def test_time_per_picture_and_time_per_step_are_measured_separately(
    studio: Studio, endpoint: ScriptedEndpoint, draw: Callable[[JobRequest, float, float], None]
) -> None:
    for steps in (6, 12, 20, 30, 12):
        draw(APPLE.model_copy(update={"steps": steps}), 0.1, 0.7)
    fresh = later(studio, endpoint)
    try:
        for steps, count in ((4, 1), (12, 2), (50, 4)):
            asked = APPLE.model_copy(update={"steps": steps, "count": count})
            assert fresh.jobs.estimate(asked).run_s == pytest.approx(count * (steps * 0.1 + 0.7), rel=0.02)
    finally:
        fresh.close()


def test_the_price_of_four_pictures_is_based_on_jobs_of_four_pictures(
    studio: Studio, endpoint: ScriptedEndpoint, draw: Callable[[JobRequest, float, float], None]
) -> None:
    for _ in range(5):
        draw(APPLE, 0.1, 0.0)
        draw(APPLE.model_copy(update={"count": 4}), 0.04, 0.0)
    fresh = later(studio, endpoint)
    try:
        one, four = (fresh.jobs.estimate(APPLE.model_copy(update={"count": n})).run_s for n in (1, 4))
    finally:
        fresh.close()
    assert one == pytest.approx(12 * 0.1, rel=0.02)
    assert four == pytest.approx(4 * 12 * 0.04, rel=0.02)


def test_estimate_and_charge_use_the_same_formula(
    studio: Studio, endpoint: ScriptedEndpoint, maker: User
) -> None:
    endpoint.instances = 0
    studio.endpoints.refresh()
    job = studio.jobs.submit(maker, APPLE)
    assert job.estimate.cold_start_s > 0 and job.estimate.wake_usd > 0

    def as_estimated(answer: dict[str, object]) -> None:
        answer["gpu_s"] = job.estimate.run_s

    Worker(studio, studio.results_queue, studio.metrics).handle(
        endpoint.complete(endpoint.accepted[-1], as_estimated)
    )
    done = studio.jobs.get(maker, job.id)
    assert done.cost_usd == pytest.approx(job.estimate.cost_usd, abs=1e-6)


def test_the_cost_of_a_wake_is_shared_by_all_jobs_that_wait_for_it(
    studio: Studio, endpoint: ScriptedEndpoint, maker: User, other: User, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(estimates, "CROWD_S", 0.0)
    endpoint.instances = 0
    studio.endpoints.refresh()
    alone = studio.jobs.estimate(APPLE).wake_usd
    card = studio.catalogue.card("pocket")
    assert alone == pytest.approx(card.wake_s * card.usd_per_hour / 3600)
    studio.jobs.submit(other, APPLE)
    assert studio.jobs.estimate(APPLE).wake_usd == pytest.approx(alone / 2)
    three = studio.multi_submit.estimate([APPLE] * 3)
    assert three.wake_usd == pytest.approx(alone * 3 / 4)
    endpoint.instances = 1
    studio.endpoints.refresh()
    assert studio.jobs.estimate(APPLE).wake_usd == 0


def test_a_job_is_priced_by_the_models_current_state_not_the_cached_one(
    studio: Studio, endpoint: ScriptedEndpoint, maker: User, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert studio.jobs.estimate(APPLE).cold_start_s == 0
    endpoint.instances = 0
    monkeypatch.setattr(endpoint_status, "FRESH_S", 0.1)
    time.sleep(0.2)
    job = studio.jobs.submit(maker, APPLE)
    assert job.estimate.cold_start_s > 0 and job.estimate.wake_usd > 0
