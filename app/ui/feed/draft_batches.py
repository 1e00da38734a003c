"""Groups of drafts: the jobs of one click in order, by prompt, and why some have no pictures."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Collection, Iterable, Mapping, Sequence

from app.i18n.failure_words import failure_words
from app.i18n.texts import mark, tr, tr_sentence
from app.i18n.wording import ESTIMATED, ago, dollars, drafts, hint_words
from app.ui.feed.draft_picker import DraftsOfPrompt, Remark
from services.backends.withheld import withheld_words
from services.build import Studio
from services.jobs.drafts import is_missing
from services.records import Image, Job, JobStatus, User
from services.store import keys

FREE = mark("Nothing was charged.")
DRAWING = mark("{drafts} still being drawn.")
MISSING = {
    JobStatus.FAILED: mark("{drafts} failed."),
    JobStatus.CANCELED: mark("{drafts} canceled."),
    JobStatus.EXPIRED: mark("{drafts} not drawn in time."),
}


def whole_presses(
    studio: Studio,
    user: User,
    images: tuple[Image, ...],
    jobs: Mapping[str, Job],
    ended: Iterable[Job],
) -> tuple[tuple[Image, ...], dict[str, Job]]:
    """Returns the pictures and their jobs with all other drafts of the same groups and their finished pictures.

    `ended` are jobs without pictures. No AWS call if all are in the feed, otherwise up to four.
    """
    known = {**jobs, **{job.id: job for job in ended if job.draft is not None}}
    rest = studio.drafts.rest(user, known.values())
    known |= {job.id: job for job in rest}
    # The feed may contain only some pictures of its oldest job.
    there = Counter(image.job_id for image in images)
    cut = [job for job in known.values() if job.draft is not None and there[job.id] < len(job.image_ids)]
    if cut:
        found, ids = studio.images.of_jobs(user, cut), {image.id for image in images}
        images += tuple(image for of_job in found.values() for image in of_job if image.id not in ids)
    finals = {final for job in known.values() for final in job.finals.values()}
    if unread := finals - known.keys():
        known |= studio.jobs.find_many(user, sorted(unread))
    return images, known


def press_of(jobs: Mapping[str, Job], job_id: str) -> tuple[Job, ...]:
    """Returns the jobs of the group that a job of drafts belongs to, in order; empty for other jobs."""
    job = jobs.get(job_id)
    if job is None or job.draft is None:
        return ()
    group = job.draft.group
    press = [each for each in jobs.values() if each.draft is not None and each.draft.group == group]
    return tuple(sorted(press, key=_place))


def in_order(jobs: Mapping[str, Job]) -> Callable[[Image], tuple[int, str, int]]:
    """The sort key of drafts: the order of the click, not the order of completion."""
    return lambda image: (*_place(jobs[image.job_id]), image.n)


def _place(job: Job) -> tuple[int, str]:
    return (job.draft.part if job.draft else 0, job.id)


def prompts_of(press: Iterable[Job]) -> tuple[str, ...]:
    """Returns the prompts of the jobs without duplicates."""
    return tuple(dict.fromkeys(job.spec.prompt for job in press))


def press_facts(press: Sequence[Job]) -> str:
    """Returns the time of the click and the actual and estimated cost of its drafts, as a Markdown label."""
    drawn = [job for job in press if job.status is JobStatus.SUCCEEDED]
    cost = tr(
        ESTIMATED,
        what=dollars(sum(job.cost_usd or 0.0 for job in drawn)),
        said=dollars(sum(job.estimate.cost_usd for job in drawn)),
    )
    return f"{ago(press[0].created_at)} · {cost}".replace("$", "\\$")


def standing_of(press: Sequence[Job]) -> tuple[Job, ...]:
    """Returns the jobs of the group without failed ones that were retried."""
    last = {_place(job)[0]: job.id for job in press}
    return tuple(job for job in press if not is_missing(job) or last[_place(job)[0]] == job.id)


def one_each(press: Sequence[Job]) -> bool:
    """Whether there are several prompts with one draft each."""
    prompts = Counter(job.spec.prompt for job in press for _ in range(job.spec.count))
    return len(prompts) > 1 and set(prompts.values()) == {1}


def by_prompt(
    press: Sequence[Job], images: Sequence[Image], open_ids: Collection[str]
) -> tuple[DraftsOfPrompt, ...]:
    """Returns the drafts by prompt, with the status of missing ones. A single prompt is already in the heading."""
    prompts = prompts_of(press)
    parts = []
    for prompt in prompts:
        of_prompt = [job for job in press if job.spec.prompt == prompt]
        ids = {job.id for job in of_prompt}
        remarks = [remark for job in of_prompt for remark in _remarks(job)]
        drawing = sum(job.spec.count for job in of_prompt if job.id in open_ids)
        if drawing:
            remarks.append(Remark(tr(DRAWING, drafts=drafts(drawing))))
        parts.append(
            DraftsOfPrompt(
                prompt=prompt if len(prompts) > 1 else "",
                images=tuple(image for image in images if image.job_id in ids),
                remarks=tuple(dict.fromkeys(remarks)),
            )
        )
    return tuple(parts)


def _remarks(job: Job) -> list[Remark]:
    """Returns the remarks about a job's drafts, and why there are none."""
    if job.status in MISSING:
        words, why = tr(MISSING[job.status], drafts=drafts(job.spec.count)), failure_words(job)
        free = "" if tr(FREE).lower() in why.lower() else tr(FREE)
        return [Remark(" ".join([words, why, free]), failed=True)]
    remarks = []
    if job.withheld and job.status is JobStatus.SUCCEEDED:
        remarks.append(Remark(tr_sentence(withheld_words(job.withheld, job.spec.count))))
    if job.hint is not None:
        remarks.append(Remark(hint_words(job.spec, job.hint)))
    return remarks


def is_draft(image_id: str, jobs: Mapping[str, Job]) -> bool:
    """Whether the picture is a draft of a job in the feed."""
    parts = keys.split_image_id(image_id)
    job = jobs.get(parts[0]) if parts else None
    return job is not None and job.draft is not None and image_id in job.image_ids
