"""Tests that random schedules of kills and stops lose nothing; schedules.py runs any number of them."""

from __future__ import annotations

import pytest

from tests.faults.schedules import FAULTS, JOBS, run_one

# `make test-slow` runs the first SLOW seeds, `make test-all` all of them.
SLOW, ALL = 3, 40


@pytest.mark.timeout(600)
@pytest.mark.parametrize(
    "seed",
    [
        *(pytest.param(seed, marks=pytest.mark.slow) for seed in range(1, SLOW + 1)),
        *(pytest.param(seed, marks=pytest.mark.rare) for seed in range(SLOW + 1, ALL + 1)),
    ],
)
def test_a_schedule_of_faults_loses_nothing(seed: int) -> None:
    audit = run_one(seed)
    print(audit)
    assert audit.is_clean, str(audit)
    assert sum(audit.fired.values()) == FAULTS
    assert sum(audit.statuses.values()) == JOBS
