"""Formats times, prices, sizes, and states in the reader's language, the same on every page."""

from __future__ import annotations

import contextlib
import math
from datetime import UTC, datetime
from datetime import date as date_type
from functools import lru_cache
from zoneinfo import ZoneInfo, ZoneInfoNotFoundError

from babel import Locale
from babel.dates import format_date, format_datetime
from babel.numbers import format_currency, format_decimal

from app.i18n.texts import current, locale, mark, tr, tr_n
from services.records import Hint, Job, JobSpec, JobStatus, Task

# Translated by `tr`.
STATUS_WORDS = {
    JobStatus.QUEUED: mark("Waiting"),
    JobStatus.STARTING: mark("Starting"),
    JobStatus.PROCESSING: mark("Drawing"),
    JobStatus.SUCCEEDED: mark("Done"),
    JobStatus.FAILED: mark("Failed"),
    JobStatus.CANCELED: mark("Canceled"),
    JobStatus.EXPIRED: mark("Expired"),
}
TASK_WORDS = {
    Task.TEXT_TO_IMAGE: mark("Text-to-image"),
    Task.IMAGE_TO_IMAGE: mark("Image-to-image"),
    Task.INPAINTING: mark("Inpainting"),
}
DRAWN_OVER = mark("Settings, seed, and the source picture if it is still stored")
UNDER_A_SECOND = mark("under 1 s")
UNDER_A_MILLIONTH = mark("under $0.000001")
# Babel's patterns for dates and times, translated per language.
DAY = mark("dd MMM yyyy")
DAY_OF_MONTH = mark("dd MMM")
DAY_AND_TIME = mark("dd MMM, HH:mm")
ESTIMATED = mark("{what} (estimated {said})")
LONGEST_QUOTE = 60


def hint_words(spec: JobSpec, hint: Hint) -> str:
    """Says that the model does not know the prompt and what it can draw instead; contains untrusted plain text."""
    asked = " ".join(spec.prompt.split())
    if len(asked) > LONGEST_QUOTE:
        asked = asked[: LONGEST_QUOTE - 1].rstrip() + "…"
    return tr(
        "{model} does not know “{asked}”. The closest things it can draw: {nearest}.",
        model=spec.model,
        asked=asked,
        nearest=", ".join(hint.nearest),
    )


def dollars(usd: float) -> str:
    """Formats a price with enough digits to differ from zero: `$1.20`, `$0.04`, `$0.0012`, `$0.000033`.

    Uses the format of the reader's language: `0,0012 $`.
    """
    if usd == 0:
        return _dollars(usd, "0")
    if usd >= 0.01:
        return _dollars(usd, "0.00")
    if usd >= 0.0001:
        return _dollars(usd, "0.0000")
    # The ledger counts in millionths of a dollar.
    return _dollars(usd, "0.000000") if usd >= 0.000001 else tr(UNDER_A_MILLIONTH)


def _dollars(usd: float, digits: str) -> str:
    return _in_language(usd, digits, current())


# Cached: a history page has a hundred prices, mostly equal, and Babel parses the pattern for each one.
@lru_cache(maxsize=4096)
def _in_language(usd: float, digits: str, language: str) -> str:
    # The pattern is "¤#,##0.00" or "#,##0.00 ¤": here with other digits.
    pattern = Locale.parse(language).currency_formats["standard"].pattern.replace("0.00", digits)
    return format_currency(usd, "USD", format=pattern, locale=language, currency_digits=False)


def duration(seconds: float) -> str:
    """Formats a duration: `under 1 s`, `12 s`, `2 min`, `1 h 5 min`."""
    if seconds < 1:
        return tr(UNDER_A_SECOND)
    if seconds < 90:
        return f"{round(seconds)} s"
    minutes = round(seconds / 60)
    if minutes < 60:
        return f"{minutes} min"
    return f"{minutes // 60} h {minutes % 60} min" if minutes % 60 else f"{minutes // 60} h"


def about(words: str) -> str:
    """Adds "about": `about 6 s`, but leaves `under 1 s` unchanged."""
    return words if words in (tr(UNDER_A_SECOND), tr(UNDER_A_MILLIONTH)) else tr("about {what}", what=words)


def sentence_case(words: str) -> str:
    """Capitalizes the first letter only."""
    return words[:1].upper() + words[1:]


def ago(moment: datetime, now: datetime | None = None) -> str:
    """How long ago an aware moment was: `just now`, `5 min ago`, `3 h ago`, then the UTC date."""
    seconds = ((now or datetime.now(UTC)) - moment).total_seconds()
    if seconds < 60:
        return tr("just now")
    if seconds < 3600:
        return tr("{count} min ago", count=int(seconds // 60))
    if seconds < 24 * 3600:
        return tr("{count} h ago", count=int(seconds // 3600))
    return day(moment.astimezone(UTC).date())


def day(date: date_type) -> str:
    """`05 Mar 2026`, in the order and words of the language."""
    return format_date(date, tr(DAY), locale=locale())


def day_of_month(date: date_type) -> str:
    """`05 Mar`."""
    return format_date(date, tr(DAY_OF_MONTH), locale=locale())


def clock(moment: datetime, *, zone: str | None, now: datetime | None = None) -> str:
    """A time of day in an IANA zone (None or an unknown one: UTC, and it says so), with the day unless it is today."""
    local, suffix = moment.astimezone(UTC), " UTC"
    if zone:
        with contextlib.suppress(ZoneInfoNotFoundError, ValueError):
            local, suffix = moment.astimezone(ZoneInfo(zone)), ""
    today = (now or datetime.now(UTC)).astimezone(local.tzinfo).date()
    form = "HH:mm" if local.date() == today else tr(DAY_AND_TIME)
    return format_datetime(local, form, locale=locale()) + suffix


def per_cent(share: float | None) -> str:
    """`12 %`; a dash for what is not known."""
    return "–" if share is None else f"{share * 100:.0f} %"


def file_size(size_bytes: int) -> str:
    """`812 B`, `34 kB`, `1.2 MB`."""
    if size_bytes < 1000:
        return f"{size_bytes} B"
    if size_bytes < 1_000_000:
        return f"{size_bytes / 1000:.0f} kB"
    return f"{format_decimal(size_bytes / 1_000_000, '#,##0.0', locale=locale())} MB"


def pictures(count: int) -> str:
    """`1 picture`, `3 pictures`."""
    return tr_n("{count} picture", "{count} pictures", count)


def drafts(count: int) -> str:
    """`1 draft`, `3 drafts`."""
    return tr_n("{count} draft", "{count} drafts", count)


def steps(count: int) -> str:
    """`1 step`, `20 steps`."""
    return tr_n("{count} step", "{count} steps", count)


def jobs(count: int) -> str:
    """`1 job`, `3 jobs`."""
    return tr_n("{count} job", "{count} jobs", count)


def at_least_stars(rating: int) -> str:
    """What a rating lets through: `Any rating`, `★★★ and up`, `★★★★★`."""
    if rating == 0:
        return tr("Any rating")
    return tr("{stars} and up", stars="★" * rating) if rating < 5 else "★" * rating


def days_left(moment: datetime, now: datetime | None = None) -> str:
    """The days until an aware moment, begun ones counted: `30 days left`, `1 day left`, `last hours`."""
    days = (moment - (now or datetime.now(UTC))).total_seconds() / 86400
    return tr("last hours") if days <= 0.5 else tr_n("{count} day left", "{count} days left", math.ceil(days))


def cost_words(job: Job) -> str:
    """Returns a job's cost, or its estimate until it is settled."""
    return about(dollars(job.estimate.cost_usd)) if job.cost_usd is None else dollars(job.cost_usd)


def cost_beside_estimate(job: Job) -> str:
    """Returns a job's cost and its estimate: `$0.0012 (estimated $0.0011)`."""
    if job.cost_usd is None or job.status is not JobStatus.SUCCEEDED or job.estimate.cost_usd == 0:
        return cost_words(job)
    return tr(ESTIMATED, what=dollars(job.cost_usd), said=dollars(job.estimate.cost_usd))


def time_beside_estimate(job: Job) -> str | None:
    """Returns the time from submission to pictures and its estimate: `4 s (estimated 5 s)`.

    None for a job that has not succeeded or has no time.
    """
    if job.took_s is None or job.estimate.run_s == 0:
        return None
    return tr(ESTIMATED, what=duration(job.took_s), said=duration(job.estimate.total_s))
