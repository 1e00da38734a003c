"""Several jobs from one press: looked at together, sent one by one, each under a key of its own."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from services import keys
from services.errors import InvalidRequest, LimitReached, StudioError
from services.jobs import Admission, Jobs
from services.ledger import Ledger
from services.records import Estimate, Job, JobRequest, User


@dataclass(frozen=True)
class Refused:
    """What stopped a batch, and the request that met it."""

    request: JobRequest
    error: StudioError


@dataclass(frozen=True)
class Batch:
    """What became of one press: the jobs that are there, and why the rest is not (None: all are)."""

    sent: tuple[Job, ...]
    refused: Refused | None = None


class Batches:
    """Sends requests that belong together."""

    def __init__(self, jobs: Jobs, admission: Admission, ledger: Ledger) -> None:
        self._jobs = jobs
        self._admission = admission
        self._ledger = ledger

    def estimate(self, requests: Sequence[JobRequest]) -> Estimate:
        """Price and time of all of them, one after another, woken for once. Raises InvalidRequest."""
        return self.together([self._jobs.estimate(request, together=len(requests)) for request in requests])

    @staticmethod
    def together(each: Sequence[Estimate]) -> Estimate:
        """The estimates of jobs of one model as one: run one after another, woken for once."""
        return each[0].model_copy(
            update={
                "cost_usd": sum(one.cost_usd for one in each),
                "at_most_usd": sum(one.at_most_usd for one in each),
                "run_s": sum(one.run_s for one in each),
                "wake_usd": sum(one.wake_usd for one in each),
            }
        )

    def submit(self, user: User, requests: Sequence[JobRequest], *, key: str, again: bool = False) -> Batch:
        """One job for each of the requests (of one model), in their order, until one is refused.

        All are checked before the first is sent, and several are held against the limits together, unless `again`
        says that this is a repeated press: some of them may be there already. The same `key` makes nothing twice: what
        was sent before is found, the rest is sent. Four AWS calls a job, one more for several.
        """
        for request in requests:
            try:
                self._admission.resolve(request)
            except InvalidRequest as error:
                return Batch((), Refused(request, error))
        sent: list[Job] = []
        if len(requests) > 1 and not again:
            try:
                self._check_limits(user, requests)
            except StudioError as error:
                return Batch((), Refused(requests[0], error))
        for number, request in enumerate(requests):
            own = key if len(requests) == 1 else keys.digest(key, str(number), request.prompt)
            try:
                sent.append(self._jobs.submit(user, request, idempotency_key=own))
            except StudioError as error:
                return Batch(tuple(sent), Refused(request, error))
        return Batch(tuple(sent))

    def _check_limits(self, user: User, requests: Sequence[JobRequest]) -> None:
        """Raises LimitReached when not all of them can be sent, as far as the user's own limits tell now."""
        usage, count = self._ledger.usage(user), len(requests)
        pictures, most_usd = sum(each.count for each in requests), self.estimate(requests).at_most_usd
        if usage.open_jobs + count > usage.max_open_jobs:
            why = f"of {usage.max_open_jobs} open jobs you have {usage.open_jobs}"
        elif usage.images_today + pictures > usage.daily_images:
            why = f"of {usage.daily_images} pictures today you have made {usage.images_today}"
        elif usage.spent_month_usd + most_usd > usage.monthly_usd:
            why = (
                f"of ${usage.monthly_usd:.2f} this month you have spent ${usage.spent_month_usd:.2f}, "
                f"and these may cost ${most_usd:.2f}"
            )
        else:
            return
        if len({request.prompt for request in requests}) == 1:
            words = (
                f"These {pictures} pictures ({count} jobs) are too many at once: {why}. Nothing was sent. "
                "Ask for fewer."
            )
        else:
            words = (
                f"These {count} prompts ({pictures} pictures) are too many at once: {why}. Nothing was sent. "
                "Take out some alternatives."
            )
        raise LimitReached(words, code="batch_too_large")

    def find_same(self, user: User, requests: Sequence[JobRequest]) -> tuple[Job | None, ...]:
        """For each request the user's earlier job that drew the same, None where there is none.

        Raises InvalidRequest. Three AWS calls for up to a hundred requests, none for requests without a seed.
        """
        return self._jobs.find_same_many(user, requests)
