"""Tests of the sharded studio budget: free and spent add up to it after every step, and all free money can be used."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime, timedelta
from itertools import count, pairwise
from typing import Any

import pytest
from hypothesis import HealthCheck, given
from hypothesis import settings as examples
from hypothesis import strategies as st

from services.aws.table import Table, TransactionRefused, Update
from services.billing.ledger import Ledger
from services.billing.studio_budget import StudioBudget, plan
from services.build import Studio, build
from services.errors import IdempotencyMismatch, LimitReached
from services.records import Job, JobRequest, JobStatus, User
from services.settings import Settings
from services.store import keys
from services.store.jobs import JobStore
from services.store.spend import Month, Pot, Shard, SpendStore, shard_of, take
from services.store.user_counters import UserCounters
from services.store.writes import Write
from tests.endpoint import ScriptedEndpoint
from tests.unit.made import made_job
from tests.wire.conftest import real_clients

BUDGET = 1_000
MAKER = "a" * 32
# Each example uses its own month, so examples share no records and need no cleanup.
MONTHS = count()


@dataclass
class Till:
    """A month of a studio whose processes and jobs the test controls, with the expected sums."""

    table: Table
    limits: Settings
    at: datetime
    budget: int
    # Job ids are chosen to fall into the first `shards` shards, so that jobs often share one.
    shards: int = 16
    open: list[Job] = field(default_factory=list)
    spent: int = 0

    def process(self, budget: int) -> Ledger:
        """Returns the ledger of a process started with this budget in micro-dollars."""
        limits = self.limits.model_copy(
            update={"studio_monthly_usd": budget / 1e6, "user_monthly_usd": 1e9, "user_daily_images": 10**9}
            | {"user_open_jobs": 10**9}
        )
        return Ledger(UserCounters(self.table), StudioBudget(SpendStore(self.table)), limits)

    def job(self, amount: int) -> Job:
        estimate = made_job().estimate.model_copy(update={"at_most_usd": amount / 1e6})
        job_id = keys.new_id()
        while shard_of(job_id) >= self.shards:
            job_id = keys.new_id()
        return made_job(id=job_id, user_id=MAKER, created_at=self.at, estimate=estimate)

    def submit(self, ledger: Ledger, amount: int) -> bool:
        """Submits a job and returns whether it was accepted."""
        job = self.job(amount)
        try:
            ledger.check(job)
            ledger.reserve(job, lambda writes: JobStore(self.table).create(job, writes))
        except LimitReached as exc:
            assert exc.code == "studio_budget"
            return False
        self.open.append(job)
        self.spent += amount
        return True

    def end(self, ledger: Ledger, number: int, share: float) -> None:
        """Settles a job at a share of its reservation; refunds it if the cost is 0."""
        job = self.open.pop(number % len(self.open))
        reserved = round(job.estimate.at_most_usd * 1e6)
        cost = int(reserved * share)
        status = JobStatus.SUCCEEDED if cost else JobStatus.FAILED
        closed = job.model_copy(update={"status": status, "completed_at": self.at, "cost_usd": cost / 1e6})
        writes = ledger.settlement(closed, cost_usd=cost / 1e6, gpu_s=1.0) if cost else ledger.refund(closed)
        _, ours = JobStore(self.table).close(closed, writes, token=keys.new_id())
        assert ours
        self.spent -= reserved - cost

    def look(self) -> Month:
        month = SpendStore(self.table).snapshot(self.at)
        assert month.pot is not None
        assert month.pot.budget == self.budget
        assert (month.spent, month.free) == (self.spent, self.budget - self.spent)
        assert month.free + month.spent == month.pot.budget
        assert all(shard.free >= 0 and shard.returned >= 0 for shard in month.shards)
        return month


@pytest.fixture
def till(studio: Studio, cloud: Any) -> Callable[..., Till]:
    table = Table(cloud.client("dynamodb"), studio.settings.table)

    def made(budget: int = BUDGET) -> Till:
        years, months = divmod(next(MONTHS), 12)
        return Till(table, studio.settings, datetime(2030 + years, months + 1, 15, tzinfo=UTC), budget)

    return made


AMOUNTS = st.one_of(st.integers(1, 40), st.integers(1, BUDGET))
STEPS = st.lists(
    st.one_of(
        st.tuples(st.just("submit"), AMOUNTS),
        st.tuples(st.just("submit"), AMOUNTS),
        st.tuples(st.just("end"), st.integers(0, 50), st.sampled_from([0.0, 0.3, 0.5, 1.0])),
        st.tuples(st.just("budget"), st.integers(1, 2 * BUDGET)),
    ),
    min_size=5,
    max_size=25,
)


@given(steps=STEPS)
@examples(max_examples=40, suppress_health_check=[HealthCheck.function_scoped_fixture])
def test_free_and_spent_add_up_to_the_budget_after_random_steps(
    till: Callable[..., Till], steps: Sequence[tuple[Any, ...]]
) -> None:
    """After submits of all sizes, settlements, refunds and budget changes, the sums are exact, and a job is accepted
    exactly when it fits."""
    month = till()
    month.shards = 3
    ledger = month.process(BUDGET)
    assert month.submit(ledger, 1)
    for step in steps:
        if step[0] == "submit":
            fits = month.spent + step[1] <= month.budget
            assert month.submit(ledger, step[1]) is fits
        elif step[0] == "end" and month.open:
            month.end(ledger, step[1], step[2])
        elif step[0] == "budget":
            # A process applies its budget with its first job.
            month.budget = step[1]
            ledger = month.process(month.budget)
            fits = month.spent + 1 <= month.budget
            assert month.submit(ledger, 1) is fits
        month.look()


def test_the_last_cent_of_every_shard_can_be_spent(till: Callable[..., Till]) -> None:
    month = till(700)
    ledger = month.process(700)
    while month.submit(ledger, 7):
        month.look()
    assert month.spent == 700
    for _ in range(60):
        month.end(ledger, 0, 0.0)
    # The refunds are spread over many shards; one job uses them all.
    assert sum(shard.leased > 0 for shard in month.look().shards) > 8
    assert not month.submit(ledger, 421)
    assert month.submit(ledger, 420)
    assert month.look().free == 0


def test_leases_shrink_with_the_pot_and_one_shard_does_not_empty_it(till: Callable[..., Till]) -> None:
    month = till(1_000_000)
    ledger = month.process(1_000_000)
    pots = []
    for _ in range(100):
        month.submit(ledger, 10)
        pot = month.look().pot
        assert pot is not None
        pots.append(pot.free)
    assert pots[-1] > 500_000
    leases = [earlier - later for earlier, later in pairwise(pots) if earlier != later]
    assert leases == sorted(leases, reverse=True)
    assert len(leases) <= 15, "one lease covers many jobs"


def test_a_lowered_budget_recalls_leases_and_a_raised_one_is_available_at_once(
    till: Callable[..., Till],
) -> None:
    month = till(100_000)
    old = month.process(100_000)
    for _ in range(60):
        assert month.submit(old, 100)
    assert month.look().leased > 10_000
    month.budget = 6_050
    lowered = month.process(6_050)
    assert not month.submit(lowered, 100)
    month.look()
    # A process with the old budget spends no more either, because the shards are empty.
    assert not month.submit(old, 51)
    assert month.submit(old, 50)
    month.budget = 1_000
    assert not month.submit(month.process(1_000), 1)
    assert month.look().free == -5_050
    for _ in range(30):
        month.end(old, 0, 0.5)
        assert not month.submit(old, 1), "returned money first covers the pot's debt"
        month.look()
    month.budget = 10_000
    assert month.submit(month.process(10_000), 5_000)
    month.look()


def test_two_processes_with_different_budgets_do_not_undo_each_others_change(
    till: Callable[..., Till],
) -> None:
    month = till(1_000)
    one, other = month.process(1_000), month.process(2_000)
    assert month.submit(one, 10)
    month.budget = 2_000
    for _ in range(10):
        assert month.submit(other, 10)
        assert month.submit(one, 10)
        month.look()


def old_counter(month: Till, change: int, limit: int = 10**9) -> bool:
    """Changes the studio's spending for a job like a process of version 0.1."""
    at = month.at
    try:
        month.table.transact(
            [
                Update(
                    key=("STUDIO", f"SPEND#{at:%Y-%m}#0"),
                    label="studio",
                    assign={"expires_at": int((at + timedelta(days=400)).timestamp())},
                    add={"spent_micros": change},
                    condition="attribute_not_exists(#spent_micros) OR #spent_micros <= :room",
                    values={":room": limit - change},
                )
            ]
        )
    except TransactionRefused:
        return False
    month.spent += change
    return True


def old_job(month: Till, amount: int) -> Job:
    """Creates a job like version 0.1: its charge and user counters are as in the current version."""
    job = month.job(amount)
    assert old_counter(month, amount)

    def create(writes: Sequence[Write]) -> None:
        others = [write for write in writes if not (isinstance(write, Update) and write.label == "studio")]
        JobStore(month.table).create(job, others)

    # The studio's budget is replaced by a stub, so its writes are left out.
    elsewhere = month.process(10**9)
    elsewhere._studio.reserve = lambda at, shard, amount, budget, run: run([]) or True  # type: ignore[method-assign,func-returns-value]
    elsewhere.reserve(job, create)
    month.open.append(job)
    return job


def test_spending_before_the_upgrade_counts_and_its_jobs_are_settled(till: Callable[..., Till]) -> None:
    month = till(1_000)
    for _ in range(3):
        old_job(month, 200)
    ledger = month.process(1_000)
    assert not month.submit(ledger, 401)
    assert month.submit(ledger, 400)
    month.look()
    month.end(ledger, 0, 0.5)
    month.end(ledger, 0, 0.0)
    assert month.look().free == 300
    assert not month.submit(ledger, 301)
    assert month.submit(ledger, 300)
    month.look()


def test_spending_of_a_still_running_older_process_counts(till: Callable[..., Till]) -> None:
    month = till(1_000)
    ledger = month.process(1_000)
    assert month.submit(ledger, 100)
    assert old_counter(month, 300)
    assert not month.submit(ledger, 601)
    assert month.submit(ledger, 400)
    assert old_counter(month, -100)
    assert month.submit(ledger, 300)
    assert not month.submit(ledger, 1)
    month.look()


def test_a_job_larger_than_the_whole_budget_is_refused_without_a_write(till: Callable[..., Till]) -> None:
    month = till(100)
    assert not month.submit(month.process(100), 101)
    assert SpendStore(month.table).read(month.at).pot is None


def test_a_refusal_for_another_reason_is_raised_without_a_retry(till: Callable[..., Till]) -> None:
    month = till(100)
    ledger = month.process(100)
    tried = []

    def create(writes: Sequence[Write]) -> None:
        tried.append(writes)
        raise TransactionRefused(frozenset({"studio", "open"}))

    with pytest.raises(TransactionRefused):
        ledger.reserve(month.job(10), create)
    assert len(tried) == 1


def test_a_repeated_request_finds_its_job_when_the_budget_is_used_up(
    studio: Studio, endpoint: ScriptedEndpoint, maker: User
) -> None:
    """Also in a new process, which checks the budget before it tries."""
    request = JobRequest(prompt="a red apple", seed=7)
    price = studio.jobs.estimate(request).at_most_usd
    limits = studio.settings.model_copy(update={"studio_monthly_usd": price * 1.01})
    clients = replace(real_clients(studio.settings), sagemaker=endpoint, sagemaker_runtime=endpoint)
    one, other = build(limits, clients), build(limits, clients)
    try:
        job = one.jobs.submit(maker, request, idempotency_key="k")
        for process in (one, one, other, other):
            with pytest.raises(LimitReached):
                process.jobs.submit(maker, request, idempotency_key="another")
            assert process.jobs.submit(maker, request, idempotency_key="k").id == job.id
            with pytest.raises(IdempotencyMismatch):
                process.jobs.submit(maker, JobRequest(prompt="a pear"), idempotency_key="k")
    finally:
        one.close()
        other.close()


def test_concurrent_reservations_use_the_budget_exactly(till: Callable[..., Till]) -> None:
    month = till(500)
    ledgers = [month.process(500) for _ in range(4)]
    month.submit(ledgers[0], 10)

    def submit(number: int) -> bool:
        job = month.job(10)
        try:
            ledgers[number % 4].reserve(job, lambda writes: JobStore(month.table).create(job, writes))
        except LimitReached:
            return False
        return True

    with ThreadPoolExecutor(16) as pool:
        admitted = sum(pool.map(submit, range(80)))
    assert admitted == 49
    month.spent = 500
    month.look()


def test_jobs_are_spread_over_all_shards() -> None:
    hit = [shard_of(keys.new_id()) for _ in range(3_000)]
    assert {hit.count(shard) > 100 for shard in range(16)} == {True}


def test_a_plan_takes_at_least_half_of_the_richest_shards_first() -> None:
    shards = [Shard()] * 16
    shards[3], shards[7] = Shard(free=100, returned=20), Shard(free=30)
    dry = Month(Pot(free=0, budget=150, counted=0), tuple(shards), before=0)
    drawn = plan(dry, 0, 10)
    assert drawn is not None and [(gift.shard, gift.free + gift.returned) for gift in drawn.gifts] == [
        (3, 60)
    ]
    drawn = plan(dry, 0, 130)
    assert drawn is not None
    assert [(gift.shard, gift.free + gift.returned) for gift in drawn.gifts] == [(3, 120), (7, 15)]
    assert plan(dry, 0, 151) is None


def test_taking_from_a_missing_shard_is_refused(till: Callable[..., Till]) -> None:
    month = till()
    with pytest.raises(TransactionRefused) as caught:
        month.table.transact([take(month.at, 3, 1)])
    assert caught.value.failed == {"studio"}
