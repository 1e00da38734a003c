"""Tests that 32 threads in four processes submit, settle and cancel without giving up on transaction conflicts."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack
from dataclasses import dataclass
from typing import Any, TypeVar

import pytest

from services.aws import contention
from services.aws.session import Clients
from services.aws.table import Table
from services.build import Studio, build
from services.clock import now
from services.errors import LimitReached
from services.records import Job, JobRequest, JobStatus, Role, User
from services.settings import Settings
from services.store.spend import Month, SpendStore
from tests.endpoint import ScriptedEndpoint
from tests.faults.conflicts import Conflicts

THREADS = 32
PROCESSES = 4
SUBMITS = 200
APPLE = JobRequest(prompt="a red apple", seed=7)


T = TypeVar("T")


@dataclass
class Crowd:
    """Independent studios, like separate processes, over one table with transaction conflicts."""

    studios: list[Studio]
    conflicts: Conflicts
    clients: Clients
    table: Table

    def each(self, times: int, work: Callable[[Studio, int], T]) -> list[T]:
        """Runs `work` concurrently `times` times, distributed over the processes; raises the first error."""
        with ThreadPoolExecutor(THREADS) as pool:
            return list(pool.map(lambda n: work(self.studios[n % len(self.studios)], n), range(times)))

    def money(self) -> Month:
        return SpendStore(self.table).snapshot(now())


@pytest.fixture(autouse=True)
def _slow_machine(monkeypatch: pytest.MonkeyPatch) -> None:
    """Waits longer for conflicts, because the embedded cloud on shared cores is ten times slower than DynamoDB."""
    monkeypatch.setattr(contention, "CONFLICT_S", contention.CONFLICT_S * 6)


@pytest.fixture
def crowd(settings: Settings, clients: Clients) -> Iterator[Callable[..., Crowd]]:
    """Starts processes with limits, as in `crowd(studio_monthly_usd=1.0)`; the endpoint has room for every job."""
    with ExitStack() as stack:

        def made(processes: int = PROCESSES, **limits: Any) -> Crowd:
            wide = {"user_open_jobs": 10_000, "user_daily_images": 10_000, "dispatch_instances": 100}
            mine = settings.model_copy(update=wide | limits)
            studios = [build(mine, clients) for _ in range(processes)]
            for studio in studios:
                stack.callback(studio.close)
            conflicts = stack.enter_context(Conflicts(clients.dynamodb, hold_s=0.005))
            return Crowd(studios, conflicts, clients, Table(clients.dynamodb, mine.table))

        yield made


def users(number: int) -> list[User]:
    return [User(id=f"{n:032x}", email=f"maker{n}@example.com") for n in range(number)]


@pytest.mark.parametrize("makers", [pytest.param(1, marks=pytest.mark.slow), 16])
def test_200_concurrent_submits_all_succeed(crowd: Callable[..., Crowd], makers: int) -> None:
    many, people = crowd(), users(makers)
    jobs = many.each(SUBMITS, lambda studio, n: studio.jobs.submit(people[n % makers], APPLE))
    assert len({job.id for job in jobs}) == SUBMITS
    reserved = round(jobs[0].estimate.at_most_usd * 1e6)
    assert many.conflicts.refused["TransactWriteItems"] > 0, "the fault must have fired"
    money = many.money()
    assert money.spent == SUBMITS * reserved
    assert money.pot is not None and money.spent + money.free == money.pot.budget
    for person in people:
        usage = many.studios[0].ledger.usage(person)
        mine = sum(job.user_id == person.id for job in jobs)
        assert (usage.open_jobs, usage.images_today) == (mine, mine)
        assert round(usage.spent_month_usd * 1e6) == mine * reserved


def test_a_single_process_has_no_conflicts(crowd: Callable[..., Crowd]) -> None:
    alone, [maker] = crowd(processes=1), users(1)
    alone.each(64, lambda studio, _: studio.jobs.submit(maker, APPLE))
    assert alone.conflicts.refused["TransactWriteItems"] == 0
    assert alone.studios[0].ledger.usage(maker).open_jobs == 64


@pytest.mark.slow
@pytest.mark.parametrize("fit", [37, 150])
def test_exactly_the_jobs_that_fit_a_tight_budget_are_accepted(
    crowd: Callable[..., Crowd], studio: Studio, fit: int
) -> None:
    price = round(studio.jobs.estimate(APPLE).at_most_usd * 1e6)
    many, people = crowd(studio_monthly_usd=price * (fit + 0.5) / 1e6), users(16)

    def submit(studio: Studio, n: int) -> bool:
        try:
            studio.jobs.submit(people[n % 16], APPLE)
        except LimitReached as exc:
            assert exc.code == "studio_budget"
            return False
        return True

    assert sum(many.each(SUBMITS, submit)) == fit
    assert many.conflicts.refused["TransactWriteItems"] > 0, "the fault must have fired"
    money = many.money()
    assert money.pot is not None
    assert money.spent + money.free == money.pot.budget
    assert 0 <= money.free < price


@pytest.mark.slow
@pytest.mark.parametrize("makers", [1, 16])
def test_jobs_that_end_concurrently_are_all_settled_or_refunded(
    crowd: Callable[..., Crowd], endpoint: ScriptedEndpoint, makers: int
) -> None:
    many, people = crowd(), users(makers)
    jobs = many.each(96, lambda studio, n: studio.jobs.submit(people[n % makers], APPLE))
    accepted = {invocation.inference_id.split("-")[1]: invocation for invocation in endpoint.accepted}
    assert len(accepted) == 96
    drawn = [job for n, job in enumerate(jobs) if n % 2]
    for job in drawn:
        endpoint.complete(accepted[job.id])
    before = many.conflicts.refused["TransactWriteItems"]

    def end(studio: Studio, n: int) -> Job | None:
        job = jobs[n]
        if n % 2:
            return studio.completion.finish(job.user_id, job.id, job.attempt)
        return studio.completion.cancel(job)

    ended = many.each(96, end)
    assert [job and job.status for job in ended] == [JobStatus.CANCELED, JobStatus.SUCCEEDED] * 48
    assert many.conflicts.refused["TransactWriteItems"] > before, "the fault must have fired"
    cost = sum(round((job.cost_usd or 0) * 1e6) for job in ended if job)
    money = many.money()
    assert money.spent == cost > 0
    assert money.pot is not None and money.spent + money.free == money.pot.budget
    usages = [many.studios[0].ledger.usage(person) for person in people]
    assert sum(round(usage.spent_month_usd * 1e6) for usage in usages) == cost
    assert {usage.open_jobs for usage in usages} == {0}
    assert sum(usage.images_today for usage in usages) == 48
    admin = User(id="c" * 32, email="admin@example.com", role=Role.ADMIN)
    total = many.studios[0].costs.report(admin, days=2).total
    assert (total.jobs, round(total.cost_usd * 1e6)) == (48, cost)


@pytest.mark.slow
def test_a_lowered_budget_takes_effect_while_jobs_are_submitted(
    crowd: Callable[..., Crowd], studio: Studio
) -> None:
    """Half of the processes restart with a quarter of the budget while all of them submit."""
    price = round(studio.jobs.estimate(APPLE).at_most_usd * 1e6)
    many, people = crowd(studio_monthly_usd=price * 400 / 1e6), users(16)
    many.each(32, lambda studio, n: studio.jobs.submit(people[n % 16], APPLE))
    lowered = crowd_of(many, price * 100.5 / 1e6)

    def submit(studio: Studio, n: int) -> bool:
        try:
            (lowered[n % 4] if n % 2 else studio).jobs.submit(people[n % 16], APPLE)
        except LimitReached:
            return False
        return True

    try:
        admitted = sum(many.each(SUBMITS, submit))
    finally:
        for each in lowered:
            each.close()
    money = many.money()
    assert money.pot is not None
    assert money.pot.budget == round(price * 100.5)
    assert money.spent + money.free == money.pot.budget
    assert admitted + 32 == 100
    assert money.spent == 100 * price


def crowd_of(many: Crowd, budget_usd: float) -> list[Studio]:
    """Starts four more processes over the same cloud with another budget."""
    first = many.studios[0]
    limits = first.settings.model_copy(update={"studio_monthly_usd": budget_usd})
    clients = many.clients
    return [build(limits, clients) for _ in range(4)]
