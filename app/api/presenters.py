"""Converts the services' records to API responses."""

from __future__ import annotations

from collections.abc import Sequence

from app.api import schemas
from app.api.authentication import Caller
from app.i18n.wording import hint_words
from services.catalogue.cards import ModelCard
from services.records import EndpointInfo, Image, Job, JobStatus, LiveJob

PREFIX = "/v1"


def image_response(caller: Caller, image: Image) -> schemas.Image:
    """An image with fresh links. No AWS call."""
    images = caller.studio.images
    return schemas.Image(
        id=image.id,
        job=image.job_id,
        url=images.url(image),
        thumbnail_url=images.thumbnail_url(image) if image.thumbnail_key else None,
        width=image.width,
        height=image.height,
        seed=image.seed,
        model=image.model,
        prompt=image.prompt,
        favorite=image.favorite,
        favourite=image.favorite,
        rating=image.rating,
        tags=list(image.tags),
        size_bytes=image.size_bytes,
        sha256=image.sha256,
        created_at=image.created_at,
    )


def job_response(caller: Caller, job: Job, images: Sequence[Image] | None = None) -> schemas.Job:
    """A job with its live progress while it is open, with its pictures once it succeeded.

    `images` are those pictures where the caller has them; they are read otherwise.
    """
    live = None if job.status.terminal else caller.studio.live.watch(caller.user, job.id)
    if live is not None and live.status.terminal:
        # The job ended between the two reads: the record is complete.
        job, live = caller.studio.jobs.get(caller.user, job.id), None
    output = None
    if job.status is JobStatus.SUCCEEDED:
        if images is None:
            images = caller.studio.images.of_jobs(caller.user, [job])[job.id]
        output = [image_response(caller, image) for image in images]
    return _job_response(caller, job, live=live, output=output)


def job_list_response(caller: Caller, jobs: Sequence[Job]) -> list[schemas.Job]:
    """Jobs of one list, their pictures read together.

    Those still waiting are not looked at one by one: a long queue would cost a read each.
    """
    images = caller.studio.images.of_jobs(caller.user, jobs)
    return [
        open_job_response(caller, job)
        if not job.status.terminal and job.attempt == 0
        else job_response(caller, job, images[job.id] if job.status.terminal else None)
        for job in jobs
    ]


def open_job_response(caller: Caller, job: Job) -> schemas.Job:
    """A job that is still open, from its record alone. Cannot fail, because the job already exists."""
    return _job_response(caller, job, live=None, output=None)


def _job_response(
    caller: Caller, job: Job, *, live: LiveJob | None, output: list[schemas.Image] | None
) -> schemas.Job:
    address = f"{caller.studio.settings.public_url}{PREFIX}/jobs/{job.id}"
    return schemas.Job(
        id=job.id,
        model=job.spec.model,
        model_revision=job.spec.model_revision,
        status=live.status if live else job.status,
        input=schemas.JobInput(
            **job.spec.model_dump(exclude={"model", "model_revision"}), task=job.spec.task
        ),
        output=output,
        withheld=[schemas.WithheldImage(n=one.n, seed=one.seed, reason=one.reason) for one in job.withheld],
        hint=schemas.JobHint(**job.hint.model_dump(), message=hint_words(job.spec, job.hint))
        if job.hint
        else None,
        error=schemas.JobError(code=job.failure.code, message=job.failure.message) if job.failure else None,
        metrics=schemas.JobMetrics(
            step=live.step if live else None,
            steps=live.steps if live else None,
            queue_position=live.queue_position if live else None,
            eta_s=live.eta_s if live else None,
            estimated_run_s=job.estimate.run_s,
            estimated_cold_start_s=job.estimate.cold_start_s,
            estimated_cost_usd=job.estimate.cost_usd,
            estimated_wake_usd=job.estimate.wake_usd,
            reserved_usd=job.estimate.at_most_usd,
            cost_usd=job.cost_usd,
            gpu_s=job.gpu_s,
            total_s=job.timings.total_s if job.timings else None,
            batch_pictures=job.batch_pictures,
        ),
        run_by=job.run_by,
        final_of=job.final_of,
        draft=job.draft is not None,
        created_at=job.created_at,
        started_at=job.started_at,
        completed_at=job.completed_at,
        urls=schemas.JobUrls(get=address, cancel=f"{address}/cancel", run=f"{address}/run"),
    )


def model_response(card: ModelCard, endpoint: EndpointInfo) -> schemas.Model:
    """A model's card with what its endpoint is doing."""
    same = schemas.Model.model_fields.keys() & ModelCard.model_fields.keys() - {"sizes"}
    return schemas.Model(
        **{name: getattr(card, name) for name in same},
        state=endpoint.state,
        instances=endpoint.instances,
        sizes=[schemas.Size(label=s.label, width=s.width, height=s.height) for s in card.sizes],
        defaults=schemas.ModelDefaults(
            width=card.default_width,
            height=card.default_height,
            steps=card.default_steps,
            guidance=card.default_guidance,
            scheduler=card.default_scheduler,
            quality=card.default_quality,
        ),
    )
