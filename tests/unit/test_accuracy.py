"""Tests of the median error of estimates, computed from bucket counts."""

from __future__ import annotations

from datetime import datetime, timedelta

import pytest

from services.billing.estimate_accuracy import PRICE, REACH, TIME, bucket, counts, median_error
from services.records import Estimate, JobStatus, Timings
from tests.unit.made import made_job

START = datetime.fromisoformat("2026-01-01T00:00:00+00:00")


def finished(*, estimated_s: float, took_s: float, queue_s: float = 0.0, attempt: int = 1) -> dict[str, int]:
    job = made_job(
        status=JobStatus.SUCCEEDED,
        attempt=attempt,
        invoked_at=START,
        completed_at=START + timedelta(seconds=took_s),
        timings=Timings(queue_s=queue_s),
        estimate=Estimate(cost_usd=1e-5, at_most_usd=2e-5, run_s=estimated_s, cold_start_s=0),
    )
    return counts(job, gpu_s=took_s - queue_s)


@pytest.mark.parametrize(("actual", "error"), [(1.0, 0.0), (2.0, 0.5), (0.5, 1.0), (1.25, 0.2), (0.8, 0.25)])
def test_the_error_is_relative_to_the_actual_value(actual: float, error: float) -> None:
    item = finished(estimated_s=1.0, took_s=actual)
    for kind in (PRICE, TIME):
        assert median_error([item], kind) == pytest.approx(error, abs=0.05)


def test_the_median_is_not_affected_by_one_outlier() -> None:
    items = [finished(estimated_s=1.0, took_s=took) for took in (1.0, 1.1, 1.05, 0.95, 60.0)]
    error = median_error(items, TIME)
    assert error is not None and error < 0.06


def test_values_beyond_all_buckets_count_in_the_outermost_one() -> None:
    assert (bucket(1e6, 1.0), bucket(1e-6, 1.0)) == (REACH, -REACH)
    assert len({name for took in (1e6, 1.0) for name in finished(estimated_s=1.0, took_s=took)}) == 4


@pytest.mark.parametrize("pair", [(0.0, 1.0), (1.0, 0.0), (-1.0, 1.0)])
def test_values_that_are_not_positive_are_not_counted(pair: tuple[float, float]) -> None:
    assert bucket(*pair) is None


def test_queue_time_is_not_an_error_and_a_second_attempt_has_no_time_error() -> None:
    waited = finished(estimated_s=1.0, took_s=31.0, queue_s=30.0)
    assert median_error([waited], TIME) == pytest.approx(0.0, abs=0.03)
    again = finished(estimated_s=1.0, took_s=1.0, attempt=2)
    assert median_error([again], PRICE) == 0.0
    assert median_error([again], TIME) is None


def test_without_counts_there_is_no_median() -> None:
    assert median_error([], PRICE) is None
    assert median_error([{"jobs": 3}], PRICE) is None
