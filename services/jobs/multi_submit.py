"""Several jobs from one submission: checked together, sent one by one, each with its own idempotency key."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

from services.billing.ledger import Ledger
from services.errors import InvalidRequest, LimitReached, StudioError
from services.jobs.admission import Admission
from services.jobs.jobs import Jobs
from services.records import Draft, Estimate, Job, JobRequest, User
from services.sentences import Sentence, sentence
from services.store import keys
from services.store.writes import Write


@dataclass(frozen=True)
class Submission:
    """A request, the idempotency key of its job, and an extra write for the transaction that creates the job."""

    request: JobRequest
    key: str
    extra_writes: Callable[[Job], Write] | None = None


@dataclass(frozen=True)
class Refused:
    """The error that stopped a batch, and the request that raised it."""

    request: JobRequest
    error: StudioError


@dataclass(frozen=True)
class SubmitResult:
    """The outcome of a submission of `asked` jobs: the created jobs, and why the rest is missing (None if none is)."""

    asked: int
    sent: tuple[Job, ...] = ()
    refused: Refused | None = None


class MultiSubmit:
    """Sends requests that belong together."""

    def __init__(self, jobs: Jobs, admission: Admission, ledger: Ledger) -> None:
        self._jobs = jobs
        self._admission = admission
        self._ledger = ledger

    def estimate(self, requests: Sequence[JobRequest]) -> Estimate:
        """Returns the total price and time, run one after another after one wake-up. Raises InvalidRequest."""
        return self.together([self._jobs.estimate(request, together=len(requests)) for request in requests])

    @staticmethod
    def together(each: Sequence[Estimate]) -> Estimate:
        """Combines the estimates of jobs of one model: run one after another after one wake-up."""
        return each[0].model_copy(
            update={
                "cost_usd": sum(one.cost_usd for one in each),
                "at_most_usd": sum(one.at_most_usd for one in each),
                "run_s": sum(one.run_s for one in each),
                "wake_usd": sum(one.wake_usd for one in each),
            }
        )

    def submit(
        self, user: User, requests: Sequence[JobRequest], *, key: str, again: bool = False
    ) -> SubmitResult:
        """Creates one job for each request (of one model), in order, until one is refused.

        With the same `key`, existing jobs are found and only the rest is sent. Otherwise like `send`.
        """
        submissions = [
            Submission(request, key if len(requests) == 1 else keys.digest(key, str(number), request.prompt))
            for number, request in enumerate(requests)
        ]
        return self.send(user, submissions, again=again)

    def send(self, user: User, submissions: Sequence[Submission], *, again: bool = False) -> SubmitResult:
        """Creates one job for each submission (of one model), in order, until one is refused.

        Checks all submissions before it sends the first, and checks several together against the limits, unless `again`
        says that this is a repeat: some jobs may exist already. Four AWS calls per job, one more for several.
        """
        requests = [submission.request for submission in submissions]
        for request in requests:
            try:
                self._admission.resolve(request)
            except InvalidRequest as error:
                return SubmitResult(len(requests), refused=Refused(request, error))
        sent: list[Job] = []
        if len(requests) > 1 and not again:
            try:
                self._check_limits(user, requests)
            except StudioError as error:
                return SubmitResult(len(requests), refused=Refused(requests[0], error))
        for submission in submissions:
            try:
                sent.append(
                    self._jobs.submit(
                        user,
                        submission.request,
                        idempotency_key=submission.key,
                        extra_writes=submission.extra_writes,
                    )
                )
            except StudioError as error:
                return SubmitResult(len(requests), tuple(sent), Refused(submission.request, error))
        return SubmitResult(len(requests), tuple(sent))

    def _check_limits(self, user: User, requests: Sequence[JobRequest]) -> None:
        """Raises LimitReached if the user's own limits do not allow all of them now."""
        usage, count = self._ledger.usage(user), len(requests)
        pictures, most_usd = sum(each.count for each in requests), self.estimate(requests).at_most_usd
        if usage.open_jobs + count > usage.max_open_jobs:
            why = sentence(
                "of {most} open jobs you have {count}", most=usage.max_open_jobs, count=usage.open_jobs
            )
        elif usage.images_today + pictures > usage.daily_images:
            why = sentence(
                "of {most} pictures today you have made {count}",
                most=usage.daily_images,
                count=usage.images_today,
            )
        elif usage.spent_month_usd + most_usd > usage.monthly_usd:
            why = sentence(
                "of ${most:.2f} this month you have spent ${spent:.2f}, and these may cost ${cost:.2f}",
                most=usage.monthly_usd,
                spent=usage.spent_month_usd,
                cost=most_usd,
            )
        else:
            return
        raise LimitReached(_too_many(requests, pictures, why), code="batch_too_large")

    def find_same(self, user: User, requests: Sequence[JobRequest]) -> tuple[Job | None, ...]:
        """For each request the user's earlier job that drew the same, None where there is none.

        For drafts only a job of drafts that are finished in the same way: others could not be picked from. Raises
        InvalidRequest. Three AWS calls for up to a hundred requests, none for requests without a seed.
        """
        return tuple(
            job if job is None or request.draft is None or _finished_alike(request.draft, job.draft) else None
            for request, job in zip(requests, self._jobs.find_same_many(user, requests), strict=True)
        )


def _finished_alike(one: Draft, other: Draft | None) -> bool:
    return other is not None and (one.steps, one.quality) == (other.steps, other.quality)


def _too_many(requests: Sequence[JobRequest], pictures: int, why: str) -> Sentence:
    """What is too many for the limits, and what to do about it."""
    prompts = len({request.prompt for request in requests})
    numbers = {"pictures": pictures, "jobs": len(requests), "why": why}
    if all(request.final_of is not None for request in requests):
        return sentence(
            "These {pictures} pictures ({jobs} jobs) are too many at once: {why}. Nothing was sent. Pick fewer.",
            **numbers,
        )
    if prompts == 1:
        return sentence(
            "These {pictures} pictures ({jobs} jobs) are too many at once: {why}. Nothing was sent. Ask for fewer.",
            **numbers,
        )
    if requests[0].draft is not None:
        return sentence(
            "These {pictures} drafts of {prompts} prompts ({jobs} jobs) are too many at once: {why}. "
            "Nothing was sent. Ask for fewer, or take out some alternatives.",
            prompts=prompts,
            **numbers,
        )
    return sentence(
        "These {prompts} prompts ({pictures} pictures) are too many at once: {why}. Nothing was sent. "
        "Take out some alternatives.",
        prompts=prompts,
        pictures=pictures,
        why=why,
    )
