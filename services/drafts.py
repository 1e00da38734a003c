"""Drafts: many seeds in few steps, of which those that are picked are drawn in full."""

from __future__ import annotations

from collections.abc import Sequence
from itertools import groupby

from services import keys
from services.batches import Batches
from services.catalogue import MAX_SEED, ModelCard
from services.errors import InvalidRequest, NotFound
from services.inputs import Inputs
from services.job_store import JobStore
from services.jobs import Admission
from services.records import Draft, Estimate, Job, JobRequest, User

COUNTS = (4, 8, 12)


def draft_steps(card: ModelCard, request: JobRequest) -> int | None:
    """The steps of a draft of the request: the card's lowest quality; None when the request has no more than those."""
    steps = max(card.min_steps, min(card.qualities.values()))
    asked = card.default_steps if request.steps is None else request.steps
    return steps if steps < asked else None


def plan(card: ModelCard, request: JobRequest, count: int) -> tuple[JobRequest, ...]:
    """The requests that draw `count` drafts: one seed each, in jobs of as many as the card allows.

    With a seed the drafts have it and those that follow; without one each job draws its own by chance.
    """
    steps = draft_steps(card, request)
    if steps is None:
        return (request,)
    quality = min(card.qualities, key=card.qualities.__getitem__)
    asked = card.default_steps if request.steps is None else request.steps
    draft = Draft(group="", steps=asked, quality=request.quality or card.default_quality)
    return tuple(
        request.model_copy(
            update={
                "steps": steps,
                "quality": quality,
                "count": min(card.max_count, count - first),
                "seed": None if request.seed is None else (request.seed + first) % (MAX_SEED + 1),
                "draft": draft,
            }
        )
        for first in range(0, count, card.max_count)
    )


def in_group(requests: Sequence[JobRequest], key: str) -> tuple[JobRequest, ...]:
    """The requests of one press, its drafts named as belonging together; the same for the same `key`."""
    group = keys.digest("drafts", key)[:20]
    return tuple(
        request.model_copy(update={"draft": request.draft.model_copy(update={"group": group})})
        if request.draft is not None
        else request
        for request in requests
    )


class Drafts:
    """Turns picked drafts into the requests that finish them."""

    def __init__(self, store: JobStore, admission: Admission, inputs: Inputs) -> None:
        self._store = store
        self._admission = admission
        self._inputs = inputs

    def estimate(self, user: User, image_ids: Sequence[str]) -> Estimate:
        """What finishing the drafts would cost and take. Raises NotFound, InvalidRequest. One AWS call."""
        runs = self._runs(user, image_ids)
        specs = [
            job.spec.model_copy(
                update={"steps": draft.steps, "quality": draft.quality, "count": len(numbers)}
            )
            for job, draft, numbers in runs
        ]
        return Batches.together([self._admission.estimate(spec, together=len(specs)) for spec in specs])

    def finals(self, user: User, image_ids: Sequence[str]) -> tuple[JobRequest, ...]:
        """The requests that draw just the seeds of these drafts, as they were to be drawn in full.

        Seeds that follow each other go into one job. One AWS call, one more a picture that was drawn over. Raises
        NotFound for what is no draft of the user's or whose picture to draw over is gone, InvalidRequest for none.
        """
        requests = []
        for job, draft, numbers in self._runs(user, image_ids):
            spec = job.spec
            requests.append(
                JobRequest(
                    prompt=spec.prompt,
                    negative_prompt=spec.negative_prompt,
                    model=spec.model,
                    width=spec.width,
                    height=spec.height,
                    steps=draft.steps,
                    guidance=spec.guidance,
                    scheduler=spec.scheduler,
                    quality=draft.quality,
                    seed=(spec.seed + numbers[0]) % (MAX_SEED + 1),
                    count=len(numbers),
                    strength=spec.strength,
                    final_of=job.id,
                    **self._inputs.of(job),
                )
            )
        return tuple(requests)

    def _runs(self, user: User, image_ids: Sequence[str]) -> list[tuple[Job, Draft, list[int]]]:
        """Each draft job with each row of numbers of it that follow each other."""
        picked: dict[str, set[int]] = {}
        for image_id in image_ids:
            parts = keys.split_image_id(image_id)
            if parts is None:
                raise NotFound("There is no such draft.")
            picked.setdefault(parts[0], set()).add(parts[1])
        if not picked:
            raise InvalidRequest("Pick a draft to finish.")
        jobs = self._store.find_many([(user.id, job_id) for job_id in picked])
        runs = []
        for job_id in sorted(picked):
            job = jobs.get((user.id, job_id))
            if job is None or job.draft is None or not picked[job_id] <= set(range(job.spec.count)):
                raise NotFound("There is no such draft.")
            for _, row in groupby(enumerate(sorted(picked[job_id])), key=lambda pair: pair[1] - pair[0]):
                runs.append((job, job.draft, [number for _, number in row]))
        return runs


def draft_number(final: Job, draft: Job, n: int) -> int:
    """Which picture of the draft job (from 0) the final's n-th was drawn from."""
    return (final.spec.seed + n - draft.spec.seed) % (MAX_SEED + 1)
