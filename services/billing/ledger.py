"""Quotas, budgets and charges: reserved with the job, settled or refunded with its end, each exactly once.

Every change rides in the transaction that creates or closes the job, beside the job's charge marker; a bare counter
is never touched (docs: a retried `ADD` counts twice). Money is in micro-dollars.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from datetime import UTC, date, datetime, timedelta

from services.billing import estimate_accuracy, job_counts
from services.billing.studio_budget import StudioBudget
from services.clock import now
from services.errors import LimitReached, StudioError
from services.records import Job, Record, Usage, User
from services.sentences import sentence
from services.settings import Settings
from services.store import charges, spend, usage_days, user_counters
from services.store.job_items import micros
from services.store.user_counters import Counters, Day, Limits, UserCounters
from services.store.writes import Write


class DayUsage(Record):
    """A user's jobs of one UTC day: pictures, including those being drawn, and dollars charged."""

    day: date
    images: int
    cost_usd: float


class Ledger:
    """Spending and limits. Returns writes for the transaction that changes the job."""

    def __init__(self, counters: UserCounters, studio: StudioBudget, settings: Settings) -> None:
        self._counters = counters
        self._studio = studio
        self._settings = settings

    def check(self, job: Job) -> None:
        """Raises LimitReached for a job that exceeds a whole limit by itself. No AWS call."""
        settings, amount = self._settings, micros(job.estimate.at_most_usd)
        limits = (
            ("month", amount, micros(settings.user_monthly_usd)),
            (spend.LABEL, amount, micros(settings.studio_monthly_usd)),
            ("day", job.spec.count, settings.user_daily_images),
        )
        for label, value, limit in limits:
            if value > limit:
                raise self.refusal(frozenset({label}), job.created_at)

    def reserve(self, job: Job, create: Callable[[Sequence[Write]], None]) -> None:
        """Has `create` write the job together with the reservation of the most it can cost, and of its pictures.

        `create` is given the writes and runs them in the transaction that creates the job. It is called again with
        others when its share of the studio's budget ran dry meanwhile. No AWS call of its own beside that; one, seldom
        two or three, for a job that finds its share dry and for the first job of a process and month.
        Raises LimitReached when the studio's budget does not hold the job, TransactionRefused for everything else that
        `create` met, and Unavailable.
        """
        settings, amount = self._settings, micros(job.estimate.at_most_usd)
        limits = Limits(
            month_micros=micros(settings.user_monthly_usd),
            day_images=settings.user_daily_images,
            open_jobs=settings.user_open_jobs,
        )
        own = [
            charges.reserved(job.user_id, job.id, amount, job.created_at),
            *user_counters.reserve(
                job.user_id, job.created_at, micros=amount, images=job.spec.count, limits=limits
            ),
        ]
        held = self._studio.reserve(
            job.created_at,
            spend.shard_of(job.id),
            amount,
            micros(settings.studio_monthly_usd),
            lambda drawn: create([*own, *drawn]),
        )
        if not held:
            raise self.refusal(frozenset({spend.LABEL}), job.created_at)

    def settlement(self, job: Job, *, cost_usd: float, gpu_s: float) -> list[Write]:
        """Returns the writes that replace the reservation by the job's cost and count it in the day's usage."""
        reserved, cost = micros(job.estimate.at_most_usd), micros(cost_usd)
        counts = {
            "jobs": 1,
            "images": len(job.image_ids),
            "gpu_ms": round(gpu_s * 1000),
            "cost_micros": cost,
            **job_counts.speed(job, gpu_s),
            **job_counts.beyond(job, gpu_s),
            **estimate_accuracy.counts(job, gpu_s=gpu_s),
        }
        shard = spend.shard_of(job.id)
        return [
            charges.settled(job.user_id, job.id, cost),
            *user_counters.release(
                job.user_id, job.created_at, give_back_micros=reserved - cost, cost_micros=cost
            ),
            spend.give_back(job.created_at, shard, reserved - cost),
            usage_days.count(job.completed_at or now(), job.spec.model, shard, counts),
        ]

    def repeat(self, job: Job, *, gpu_s: float) -> Write:
        """Returns the write that counts the time of a job that was drawn once more than it is charged."""
        counts = {"repeats": 1, "repeat_gpu_ms": round(gpu_s * 1000)}
        return usage_days.count(now(), job.spec.model, spend.shard_of(job.id), counts)

    def refund(self, job: Job) -> list[Write]:
        """Returns the writes that give back the job's reservation: money, pictures of the day, and the open-job slot.

        Withheld pictures stay counted, so that a day's quota limits attempts against the output check.
        """
        reserved = micros(job.estimate.at_most_usd)
        return [
            charges.refunded(job.user_id, job.id),
            *user_counters.release(
                job.user_id,
                job.created_at,
                give_back_micros=reserved,
                give_back_images=0 if job.withheld else job.spec.count,
            ),
            spend.give_back(job.created_at, spend.shard_of(job.id), reserved),
        ]

    def refusal(self, failed: frozenset[str], at: datetime) -> StudioError:
        """Returns the error for the limit whose condition failed."""
        settings = self._settings
        if "open" in failed:
            return LimitReached(
                sentence(
                    "You have {count} jobs waiting or running, the most at once. Wait for one to finish, or "
                    "cancel one.",
                    count=settings.user_open_jobs,
                ),
                code="too_many_open_jobs",
                retry_after_s=10,
            )
        if "day" in failed:
            midnight = (at + timedelta(days=1)).replace(hour=0, minute=0, second=0, microsecond=0)
            return LimitReached(
                sentence(
                    "This would pass your {count} pictures a day. Ask for fewer, or come back after midnight UTC.",
                    count=settings.user_daily_images,
                ),
                code="daily_quota",
                retry_after_s=max(1, int((midnight - at).total_seconds())),
            )
        if "month" in failed:
            return LimitReached(
                sentence(
                    "This would pass your budget of ${budget:.2f} a month. Ask for fewer or smaller pictures, "
                    "or ask the admin for a larger budget.",
                    budget=settings.user_monthly_usd,
                ),
                code="user_budget",
            )
        return LimitReached(
            sentence(
                "This would pass the studio's budget of ${budget:.2f} a month. Ask the admin.",
                budget=settings.studio_monthly_usd,
            ),
            code="studio_budget",
        )

    def usage(self, user: User) -> Usage:
        """Returns the user's usage today and this month, including reservations. One call."""
        at = datetime.now(UTC)
        return self._usage(at, self._counters.read(user.id, at, [at]))

    def month(self, user: User, at: datetime) -> tuple[Usage, tuple[DayUsage, ...]]:
        """What the user has used, as `usage` says it for that time, and each day of the month so far, the first one
        first; charges count for the day of their job. One call.
        """
        days = [at.replace(day=number) for number in range(1, at.day + 1)]
        counters = self._counters.read(user.id, at, days)
        return self._usage(at, counters), tuple(
            DayUsage(day=day, images=counted.images, cost_usd=counted.cost_micros / 1_000_000)
            for day, counted in counters.days.items()
        )

    def _usage(self, at: datetime, counters: Counters) -> Usage:
        settings = self._settings
        return Usage(
            images_today=counters.days.get(at.date(), Day()).images,
            daily_images=settings.user_daily_images,
            spent_month_usd=counters.month_micros / 1_000_000,
            monthly_usd=settings.user_monthly_usd,
            open_jobs=counters.open_jobs,
            max_open_jobs=settings.user_open_jobs,
        )
