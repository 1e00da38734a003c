"""Drafts: many seeds in few steps, of one prompt or of several, of which those that are picked are drawn in full.

Each job of drafts remembers by picture which job draws it in full; that is written in the transaction that creates the
final's job, on condition that nothing else was remembered since. So a draft that is being finished, or is finished, is
never paid for again: not by a second click, another window, or a press that was cut short and is repeated.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from itertools import groupby

from services.catalogue.cards import MAX_SEED, ModelCard
from services.errors import InvalidRequest, NotFound
from services.images.images import Images
from services.jobs.admission import Admission
from services.jobs.inputs import Inputs
from services.jobs.multi_submit import MultiSubmit, Submission, SubmitResult
from services.records import Draft, Estimate, Job, JobRequest, JobStatus, User
from services.store import keys
from services.store.job_notes import final_write
from services.store.jobs import JobStore
from services.store.writes import Write

COUNTS = (4, 8, 12)
# Submissions whose jobs are looked up at once; each may have as many jobs as a prompt can have alternatives.
MOST_PRESSES = 4


def is_missing(job: Job) -> bool:
    """Whether the job has ended without drafts."""
    return job.draft is not None and job.status.terminal and job.status is not JobStatus.SUCCEEDED


def draft_steps(card: ModelCard, request: JobRequest) -> int | None:
    """Returns the number of steps of a draft: the card's lowest quality, or None if the request has no more steps
    than that.
    """
    steps = max(card.min_steps, min(card.qualities.values()))
    asked = card.default_steps if request.steps is None else request.steps
    return steps if steps < asked else None


def each_of(count: int, prompts: int) -> int:
    """Returns how many of `count` drafts each prompt gets: the same number, at least one."""
    return max(1, count // prompts)


def plan(card: ModelCard, requests: Sequence[JobRequest], count: int) -> tuple[JobRequest, ...]:
    """Returns the requests that draw `count` drafts, one group of seeds per prompt and otherwise alike.

    Each prompt gets the same number of seeds, in jobs as large as the card allows. A given seed is the first of
    consecutive seeds for each prompt; without one, each job draws a random seed.
    """
    steps = draft_steps(card, requests[0])
    if steps is None:
        return tuple(requests)
    quality = min(card.qualities, key=card.qualities.__getitem__)
    each = each_of(count, len(requests))
    return tuple(
        request.model_copy(
            update={
                "steps": steps,
                "quality": quality,
                "count": min(card.max_count, each - first),
                "seed": None if request.seed is None else (request.seed + first) % (MAX_SEED + 1),
                "draft": Draft(
                    group="",
                    steps=card.default_steps if request.steps is None else request.steps,
                    quality=request.quality or card.default_quality,
                ),
            }
        )
        for request in requests
        for first in range(0, each, card.max_count)
    )


def in_group(requests: Sequence[JobRequest], key: str) -> tuple[JobRequest, ...]:
    """Returns the requests of one submission with their drafts labeled as a group; the same for the same `key`."""
    group = keys.digest("drafts", key)[:20]
    return tuple(
        request.model_copy(
            update={
                "draft": request.draft.model_copy(
                    update={"group": group, "part": part, "parts": len(requests)}
                )
            }
        )
        if request.draft is not None
        else request
        for part, request in enumerate(requests)
    )


@dataclass(frozen=True)
class _Run:
    """Drafts of one job with consecutive numbers: one job can draw them in full."""

    job: Job
    draft: Draft
    numbers: tuple[int, ...]


@dataclass(frozen=True)
class Finish:
    """The effect of finishing picked drafts: the number of pictures to draw, their price (None if there are none to
    draw), and the jobs that draw or have drawn the others.
    """

    count: int
    estimate: Estimate | None
    there: tuple[Job, ...]


class Drafts:
    """Finds the drafts of a submission, and has picked drafts drawn in full."""

    def __init__(
        self, store: JobStore, images: Images, admission: Admission, inputs: Inputs, multi_submit: MultiSubmit
    ) -> None:
        self._store = store
        self._images = images
        self._admission = admission
        self._inputs = inputs
        self._multi_submit = multi_submit

    def rest(self, user: User, jobs: Iterable[Job]) -> tuple[Job, ...]:
        """Returns the other jobs of the submissions that these draft jobs belong to; of the first few submissions only.

        Includes failed jobs or their replacements. No AWS call if `jobs` has all jobs of a submission and none failed;
        otherwise two, and more for over a hundred jobs.
        """
        presses: dict[str, tuple[int, set[int]]] = {}
        for job in jobs:
            if job.draft is not None:
                known = presses.setdefault(job.draft.group, (job.draft.parts, set()))[1]
                if not is_missing(job):
                    known.add(job.draft.part)
        missing = [
            [(group, part) for part in range(parts) if part not in known]
            for group, (parts, known) in presses.items()
            if len(known) < parts
        ]
        ids = self._store.notes.parts(user.id, [part for each in missing[:MOST_PRESSES] for part in each])
        found = self._store.find_many([(user.id, job_id) for job_id in ids])
        return tuple(found.values())

    def again(self, user: User, jobs: Sequence[Job]) -> SubmitResult:
        """Redraws drafts that failed, expired, or were canceled: the same seeds, in their place in the submission.

        The same job is sent again only once. Raises NotFound if an input picture is gone. AWS calls: those of
        `MultiSubmit.send`, and one for each input picture.
        """
        return self._multi_submit.send(user, [self._submission_again(job) for job in jobs if is_missing(job)])

    def price(self, jobs: Sequence[Job]) -> Estimate:
        """Returns the price and time of `again`. Raises InvalidRequest if the model is no longer offered."""
        return MultiSubmit.together([self._admission.estimate(job.spec, together=len(jobs)) for job in jobs])

    def _submission_again(self, job: Job) -> Submission:
        request = self._request(job).model_copy(update={"draft": job.draft})
        return Submission(request, keys.digest("again", job.id))

    def look(self, user: User, image_ids: Sequence[str]) -> Finish:
        """Returns the price and time of finishing these drafts, and what exists already. Raises NotFound,
        InvalidRequest.

        One AWS call, three if some were finished before.
        """
        runs, there = self._runs(user, image_ids)
        specs = [
            run.job.spec.model_copy(
                update={
                    "steps": run.draft.steps,
                    "quality": run.draft.quality,
                    "count": len(run.numbers),
                }
            )
            for run in runs
        ]
        estimates = [self._admission.estimate(spec, together=len(specs)) for spec in specs]
        return Finish(
            count=sum(spec.count for spec in specs),
            estimate=MultiSubmit.together(estimates) if estimates else None,
            there=there,
        )

    def finish(self, user: User, image_ids: Sequence[str]) -> tuple[SubmitResult, tuple[Job, ...]]:
        """Has those of these drafts drawn in full that are not yet: just their seeds, as they were to be drawn.

        Answers with what became of that, and with the jobs that draw the others, or have drawn them. Seeds that follow
        each other go into one job. Raises NotFound for what is no draft of the user's or whose picture to draw over is
        gone, InvalidRequest for none. AWS calls: those of `look` and of `MultiSubmit.send`, one more a picture that was
        drawn over.
        """
        runs, there = self._runs(user, image_ids)
        return self._multi_submit.send(user, [self._submission(run) for run in runs]), there

    def _submission(self, run: _Run) -> Submission:
        job = run.job
        request = self._request(job).model_copy(
            update={
                "steps": run.draft.steps,
                "quality": run.draft.quality,
                "seed": (job.spec.seed + run.numbers[0]) % (MAX_SEED + 1),
                "count": len(run.numbers),
                "final_of": job.id,
            }
        )
        # Concurrent callers that saw the same record use the same key; after a failed final, the key is a new one.
        before = [f"{number}:{job.finals.get(number, '')}" for number in run.numbers]
        return Submission(request, keys.digest("final", job.id, *before), _finals(run))

    def _request(self, job: Job) -> JobRequest:
        """Returns the request of the job. One AWS call for each input picture. Raises NotFound."""
        return job.spec.request().model_copy(update=self._inputs.of(job))

    def _runs(self, user: User, image_ids: Sequence[str]) -> tuple[list[_Run], tuple[Job, ...]]:
        """Returns the drafts to be drawn in full, in runs of consecutive numbers, and the existing finals."""
        picked: dict[str, set[int]] = {}
        for image_id in image_ids:
            parts = keys.split_image_id(image_id)
            if parts is None:
                raise NotFound("There is no such draft.")
            picked.setdefault(parts[0], set()).add(parts[1])
        if not picked:
            raise InvalidRequest("Pick a draft to finish.")
        jobs = {job.id: job for job in self._store.find_many([(user.id, one) for one in picked]).values()}
        for job_id, numbers in picked.items():
            job = jobs.get(job_id)
            if job is None or job.draft is None:
                raise NotFound("There is no such draft.")
            if not {keys.image_id(job_id, number) for number in numbers} <= set(job.image_ids):
                raise NotFound("There is no such draft.")
        finals = self._finals(user, [jobs[job_id] for job_id in picked], picked)
        runs, there = [], dict[str, Job]()
        for job in sorted((jobs[job_id] for job_id in picked), key=_in_press):
            todo = []
            for number in sorted(picked[job.id]):
                if (final := finals.get((job.id, number))) is not None:
                    there[final.id] = final
                else:
                    todo.append(number)
            for _, row in groupby(enumerate(todo), key=lambda pair: pair[1] - pair[0]):
                if job.draft is not None:
                    runs.append(_Run(job, job.draft, tuple(number for _, number in row)))
        return runs, tuple(there.values())

    def _finals(
        self, user: User, drafted: Sequence[Job], picked: dict[str, set[int]]
    ) -> dict[tuple[str, int], Job]:
        """The job that draws a picked draft in full, or has drawn it and its picture is still there. Two AWS calls,
        none when none was ever finished."""
        noted = {
            (job.id, number): job.finals[number]
            for job in drafted
            for number in picked[job.id]
            if number in job.finals
        }
        if not noted:
            return {}
        finals = self._store.find_many([(user.id, job_id) for job_id in noted.values()])
        stored = self._images.of_jobs(user, list(finals.values()))
        by_id, found = {job.id: job for job in drafted}, {}
        for (draft_id, number), job_id in noted.items():
            final = finals.get((user.id, job_id))
            if final is None:
                continue
            drawn = {draft_number(final, by_id[draft_id], image.n) for image in stored[job_id]}
            if not final.status.terminal or number in drawn:
                found[draft_id, number] = final
        return found


def _in_press(job: Job) -> tuple[int, str]:
    return (job.draft.part if job.draft else 0, job.id)


def _finals(run: _Run) -> Callable[[Job], Write]:
    """The write that has the job of drafts know which job draws these pictures of it in full."""
    known = {number: run.job.finals.get(number) for number in run.numbers}
    return lambda final: final_write(run.job, known, final)


def draft_number(final: Job, draft: Job, n: int) -> int:
    """Returns which picture of the draft job (from 0) the final's n-th picture was drawn from."""
    return (final.spec.seed + n - draft.spec.seed) % (MAX_SEED + 1)
