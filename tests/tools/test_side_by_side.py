"""Two test runs at once: both come to their end, both are told, and either's failure is the outcome."""

from __future__ import annotations

import sys

import pytest

from tests.side_by_side import Run, both

SAYS = "import sys, time; time.sleep({after}); print('{says}'); sys.exit({code})"


def run(name: str, *, says: str, code: int = 0, after: float = 0) -> Run:
    return Run(name, [sys.executable, "-c", SAYS.format(says=says, code=code, after=after)])


@pytest.mark.parametrize(
    ("codes", "expected"), [((0, 0), 0), ((1, 0), 1), ((0, 1), 1), ((2, 1), 2), ((0, 5), 0)]
)
def test_either_failure_is_the_outcome_and_nothing_to_run_is_none(
    codes: tuple[int, int], expected: int
) -> None:
    first = run("studio", says="=== 2 passed in 1.00s ===", code=codes[0])
    second = run("inference", says="=== 3 passed in 1.00s ===", code=codes[1])
    assert both([first, second]) == expected


def test_a_failure_does_not_cut_the_other_short_and_both_ends_are_repeated_whole(
    capfdbinary: pytest.CaptureFixture[bytes],
) -> None:
    failed = "=========== 1 failed, 2 passed in 0.10s ==========="
    passed = "========== 3 passed in 9.00s (0:00:09) ============"
    assert both([run("studio", says=failed, code=1), run("inference", says=passed, after=0.5)]) == 1
    lines = capfdbinary.readouterr().out.decode().splitlines()
    assert f"studio    | {failed}" in lines and f"inference | {passed}" in lines
    ends = lines[lines.index("") + 1 :]
    assert ends[0].startswith("studio: exit code 1, ") and ends[1] == failed
    assert ends[2].startswith("inference: exit code 0, ") and ends[3] == passed


def test_a_run_without_a_closing_line_is_reported(capfdbinary: pytest.CaptureFixture[bytes]) -> None:
    assert both([run("studio", says="Killed", code=137)]) == 137
    assert "pytest did not finish" in capfdbinary.readouterr().out.decode()
