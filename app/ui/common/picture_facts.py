"""The facts of how a picture was made, as names and values for the viewer, the comparison, and copying."""

from __future__ import annotations

from babel.numbers import format_decimal

from app.i18n.texts import locale, number, tr, tr_n
from app.i18n.wording import TASK_WORDS, cost_words, day, dollars, file_size
from services.formats.png_metadata import PictureParameters, to_a1111
from services.records import Image, Job


def settings(image: Image, job: Job | None) -> dict[str, str]:
    """Returns the requested settings, which determine the picture."""
    rows = {tr("Seed"): str(image.seed), tr("Size"): f"{image.width} x {image.height}"}
    if job is None:
        return rows | {tr("Model"): image.model}
    spec = job.spec
    rows |= {
        tr("Model"): spec.model,
        tr("Revision"): spec.model_revision,
        tr("Steps"): str(spec.steps),
        tr("Scheduler"): spec.scheduler,
        tr("Guidance"): number(spec.guidance),
    }
    if spec.strength is not None:
        rows |= {tr("Kind"): tr(TASK_WORDS[spec.task]), tr("Strength"): number(spec.strength)}
    return rows


def origin(job: Job | None) -> dict[str, str]:
    """Returns what drew it, as reported by the container: weights, device, libraries."""
    made = job.provenance if job else None
    if made is None:
        return {}
    rows = {tr("Weights"): made.revision}
    if made.device:
        rows[tr("Device")] = made.device
    if made.versions:
        rows[tr("Libraries")] = ", ".join(f"{name} {version}" for name, version in made.versions.items())
    return rows


def account(image: Image, job: Job | None) -> dict[str, str]:
    """Returns time, price, size, and date, and the picture's id."""
    return _taken(image, job) | {tr("Picture"): image.id}


def _taken(image: Image, job: Job | None) -> dict[str, str]:
    """Returns time, price, bytes, and date."""
    rows: dict[str, str] = {}
    if job is not None:
        if job.timings is not None:
            rows[tr("Time")] = f"{format_decimal(job.timings.total_s, '0.0', locale=locale())} s"
        rows[tr("Price")] = price_words(job)
    return rows | {
        tr("File"): file_size(image.size_bytes),
        tr("Drawn"): tr("{day}, {time} UTC", day=day(image.created_at), time=f"{image.created_at:%H:%M}"),
    }


def price_words(job: Job) -> str:
    """Returns the cost of one picture: its share, with the job's price if there were several pictures."""
    count = len(job.image_ids)
    if job.cost_usd is None or count < 2:
        return cost_words(job)
    price, total = dollars(job.cost_usd / count), dollars(job.cost_usd)
    if price == total:
        return price
    return tr_n(
        "{price}, its share of {total} for {count} picture",
        "{price}, its share of {total} for {count} pictures",
        count,
        price=price,
        total=total,
    )


def compared(image: Image, job: Job | None) -> dict[str, str]:
    """Returns all facts that may differ between two pictures, the prompt first."""
    words = {tr("Prompt"): image.prompt}
    if job is not None and job.spec.negative_prompt:
        words[tr("Negative prompt")] = job.spec.negative_prompt
    if job is not None and job.spec.image_sha256:
        words[tr("Source picture")] = tr("picture {id}", id=job.spec.image_sha256[:12])
    return words | settings(image, job) | origin(job) | _taken(image, job)


def parameters_text(image: Image, job: Job) -> str:
    """Returns the `parameters` text that other programs read, as in the picture's file."""
    spec = job.spec
    return to_a1111(
        PictureParameters(
            prompt=spec.prompt,
            negative_prompt=spec.negative_prompt,
            steps=spec.steps,
            scheduler=spec.scheduler,
            guidance=spec.guidance,
            seed=image.seed,
            width=image.width,
            height=image.height,
            model=spec.model,
            model_revision=job.provenance.revision if job.provenance else spec.model_revision,
            job=job.id,
            image=image.id,
            created_at=image.created_at,
            strength=spec.strength,
        )
    )
