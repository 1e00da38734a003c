"""Quotas, budgets and charges: reserved with the job, settled or refunded with its end, each exactly once.

Every change rides in the transaction that creates or closes the job, beside the job's charge marker; a bare counter
is never touched (docs: a retried `ADD` counts twice). Money is in micro-dollars.
"""

from __future__ import annotations

from datetime import UTC, date, datetime, timedelta

from services.aws.table import Item, Put, Table, Update
from services.billing import estimate_accuracy
from services.clock import now
from services.errors import LimitReached, StudioError
from services.records import Job, Record, Usage, User
from services.sentences import sentence
from services.settings import Settings
from services.store import keys
from services.store.job_items import micros

MONTH_KEPT = timedelta(days=400)
DAY_KEPT = timedelta(days=40)
MOST_BEYOND_S = 10.0
# Jobs of more pictures than this are counted with those of so many.
MOST_TOGETHER = 8


class DayUsage(Record):
    """What a user's jobs of one UTC day came to: pictures (those still being drawn too), and dollars charged."""

    day: date
    images: int
    cost_usd: float


class Ledger:
    """What was spent and what may still be. Its writes are handed to the job's own transaction."""

    def __init__(self, table: Table, settings: Settings) -> None:
        self._table = table
        self._settings = settings

    def reservation(self, job: Job) -> list[Put | Update]:
        """The writes that reserve the most the job can cost, and its pictures, against every limit.

        Raises LimitReached at once for a job that is larger than a whole limit.
        """
        settings, amount = self._settings, micros(job.estimate.at_most_usd)
        user_limit, studio_limit = micros(settings.user_monthly_usd), micros(settings.studio_monthly_usd)
        limits = (
            ("month", amount, user_limit),
            ("studio", amount, studio_limit),
            ("day", job.spec.count, settings.user_daily_images),
        )
        for label, value, limit in limits:
            if value > limit:
                raise self.refusal(frozenset({label}), job.created_at)
        pk, at = keys.user_pk(job.user_id), job.created_at
        return [
            Put(
                item={
                    "PK": pk,
                    "SK": _charge_sk(job.id),
                    "state": "reserved",
                    "reserved_micros": amount,
                    "created_at": at.isoformat(),
                },
                label="charge",
                condition="attribute_not_exists(PK)",
            ),
            _reserve(pk, keys.spend_sk(at), "month", "spent_micros", amount, user_limit, at + MONTH_KEPT),
            _reserve(
                keys.STUDIO_PK,
                keys.spend_sk(at),
                "studio",
                "spent_micros",
                amount,
                studio_limit,
                at + MONTH_KEPT,
            ),
            _reserve(
                pk,
                keys.day_sk(at),
                "day",
                "images",
                job.spec.count,
                settings.user_daily_images,
                at + DAY_KEPT,
            ),
            _reserve(pk, keys.OPEN_SK, "open", "jobs", 1, settings.user_open_jobs, None),
        ]

    def settlement(self, job: Job, *, cost_usd: float, gpu_s: float) -> list[Put | Update]:
        """The writes that turn the reservation into what the job cost, and count it into the day's usage."""
        reserved, cost = micros(job.estimate.at_most_usd), micros(cost_usd)
        spec, at = job.spec, job.completed_at or now()
        shard = int(keys.digest(job.id)[:4], 16) % keys.USAGE_SHARDS
        return [
            *self._release(job, state="settled", cost=cost, change=cost - reserved),
            Update(
                key=(keys.user_pk(job.user_id), keys.day_sk(job.created_at)),
                label="day",
                add={"cost_micros": cost},
            ),
            Update(
                key=keys.usage_key(at, spec.model, shard),
                label="usage",
                add={
                    "jobs": 1,
                    "images": len(job.image_ids),
                    "gpu_ms": round(gpu_s * 1000),
                    "cost_micros": cost,
                    **_speed(job, gpu_s),
                    **_beyond(job, gpu_s),
                    **estimate_accuracy.counts(job, gpu_s=gpu_s),
                },
            ),
        ]

    def refund(self, job: Job) -> list[Put | Update]:
        """The writes that give back everything reserved for the job: money, pictures of the day, its open place.

        Pictures that were drawn and withheld stay counted, so that a day's quota bounds what the check is tried with.
        """
        released = self._release(job, state="refunded", cost=0, change=-micros(job.estimate.at_most_usd))
        if job.withheld:
            return released
        return [
            *released,
            Update(
                key=(keys.user_pk(job.user_id), keys.day_sk(job.created_at)),
                label="day",
                add={"images": -job.spec.count},
            ),
        ]

    def _release(self, job: Job, *, state: str, cost: int, change: int) -> list[Put | Update]:
        pk, month = keys.user_pk(job.user_id), keys.spend_sk(job.created_at)
        return [
            Update(
                key=(pk, _charge_sk(job.id)),
                label="charge",
                assign={"state": state, "cost_micros": cost},
                condition="#state = :reserved",
                values={":reserved": "reserved"},
            ),
            Update(key=(pk, month), label="month", add={"spent_micros": change}),
            Update(key=(keys.STUDIO_PK, month), label="studio", add={"spent_micros": change}),
            Update(key=(pk, keys.OPEN_SK), label="open", add={"jobs": -1}),
        ]

    def refusal(self, failed: frozenset[str], at: datetime) -> StudioError:
        """The error, in words, for the limit whose condition did not hold."""
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
        """What the user has used today and this month, reservations included. One call."""
        at = datetime.now(UTC)
        return self._usage(at, self._counters(user, at))

    def month(self, user: User, at: datetime) -> tuple[Usage, tuple[DayUsage, ...]]:
        """What the user has used, as `usage` says it for that time, and each day of the month so far, the first one
        first; charges count for the day of their job. One call.
        """
        days = [at.replace(day=number) for number in range(1, at.day + 1)]
        items = self._counters(user, at, *days)
        found = [(day, items.get(keys.day_sk(day), {})) for day in days]
        return self._usage(at, items), tuple(
            DayUsage(
                day=day.date(),
                images=item.get("images", 0),
                cost_usd=item.get("cost_micros", 0) / 1_000_000,
            )
            for day, item in found
        )

    def _counters(self, user: User, at: datetime, *days: datetime) -> dict[str, Item]:
        """What is counted for the user at that time and on other days, by sort key. One call."""
        pk = keys.user_pk(user.id)
        wanted = [keys.spend_sk(at), keys.OPEN_SK, *(keys.day_sk(day) for day in (at, *days))]
        return {sk: item for (_, sk), item in self._table.get_many((pk, sk) for sk in wanted).items()}

    def _usage(self, at: datetime, items: dict[str, Item]) -> Usage:
        settings = self._settings
        return Usage(
            images_today=items.get(keys.day_sk(at), {}).get("images", 0),
            daily_images=settings.user_daily_images,
            spent_month_usd=items.get(keys.spend_sk(at), {}).get("spent_micros", 0) / 1_000_000,
            monthly_usd=settings.user_monthly_usd,
            open_jobs=items.get(keys.OPEN_SK, {}).get("jobs", 0),
            max_open_jobs=settings.user_open_jobs,
        )


def _speed(job: Job, gpu_s: float) -> dict[str, int]:
    """What the next estimate is made of, over all jobs and over those with as many pictures: drawing four together
    takes less than four times as long."""
    spec = job.spec
    pixels = spec.width * spec.height * spec.count
    seen = {
        "speed_jobs": 1,
        "speed_ms": round(gpu_s * 1000),
        "denoise_ms": round(gpu_s * _denoising_share(job) * 1000),
        "pixel_steps": pixels * spec.steps_to_draw,
        "pixels": pixels,
    }
    return seen | {together(name, spec.count): value for name, value in seen.items()}


def together(name: str, count: int) -> str:
    """The name of a sum over the jobs of `count` pictures."""
    return f"{name}_{min(count, MOST_TOGETHER)}"


def _denoising_share(job: Job) -> float:
    """The part of the model's seconds that grows with the steps, 0 to 1; the rest comes once a picture."""
    timings = job.timings
    if timings is None:
        return 1.0
    whole = timings.encode_text_s + timings.denoise_s + timings.decode_s
    return timings.denoise_s / whole if whole > 0 else 1.0


def _beyond(job: Job, gpu_s: float) -> dict[str, int]:
    """What a job that found its model awake took beyond the model's seconds; nothing of any other."""
    if job.estimate.cold_start_s > 0 or job.attempt != 1 or job.took_s is None:
        return {}
    # A notification that was lost and found by the sweep says nothing about the next job.
    beyond_s = max(0.0, min(MOST_BEYOND_S, job.took_s - gpu_s))
    return {"beyond_ms": round(beyond_s * 1000), "beyond_jobs": 1}


def _charge_sk(job_id: str) -> str:
    return f"CHARGE#{job_id}"


def _reserve(
    pk: str, sk: str, label: str, name: str, amount: int, limit: int, expires: datetime | None
) -> Update:
    return Update(
        key=(pk, sk),
        label=label,
        assign={"expires_at": int(expires.timestamp())} if expires else {},
        add={name: amount},
        condition=f"attribute_not_exists(#{name}) OR #{name} <= :room",
        values={":room": limit - amount},
    )
