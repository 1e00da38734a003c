"""What is known of how a picture was made, as names and values: one list for the viewer, the comparison and copying."""

from __future__ import annotations

from app.wording import TASK_WORDS, cost_words, dollars, file_size, plural
from services.metadata import PictureParameters, to_a1111
from services.records import Image, Job

PROMPTS = ("Prompt", "Negative prompt")


def settings(image: Image, job: Job | None) -> dict[str, str]:
    """What was asked for: what has to be the same for the picture to be the same."""
    rows = {"Seed": str(image.seed), "Size": f"{image.width} x {image.height}"}
    if job is None:
        return rows | {"Model": image.model}
    spec = job.spec
    rows |= {
        "Model": spec.model,
        "Revision": spec.model_revision,
        "Steps": str(spec.steps),
        "Scheduler": spec.scheduler,
        "Guidance": f"{spec.guidance:g}",
    }
    if spec.strength is not None:
        rows |= {"Kind": TASK_WORDS[spec.task], "Strength": f"{spec.strength:g}"}
    return rows


def origin(job: Job | None) -> dict[str, str]:
    """What drew it, as far as the container said: weights, device, libraries."""
    made = job.provenance if job else None
    if made is None:
        return {}
    rows = {"Weights": made.revision}
    if made.device:
        rows["Device"] = made.device
    if made.versions:
        rows["Libraries"] = ", ".join(f"{name} {version}" for name, version in made.versions.items())
    return rows


def account(image: Image, job: Job | None) -> dict[str, str]:
    """What it took: time, price, bytes, and when."""
    rows: dict[str, str] = {}
    if job is not None:
        if job.timings is not None:
            rows["Time"] = f"{job.timings.total_s:.1f} s"
        rows["Price"] = price_words(job)
    return rows | {
        "File": file_size(image.size_bytes),
        "Drawn": f"{image.created_at:%d %b %Y, %H:%M} UTC",
        "Picture": image.id,
    }


def price_words(job: Job) -> str:
    """What one picture of the job cost: its share, and the job's price where there were several."""
    count = len(job.image_ids)
    if job.cost_usd is None or count < 2:
        return cost_words(job)
    price, total = dollars(job.cost_usd / count), dollars(job.cost_usd)
    if price == total:
        return price
    return "{price}, its share of {total} for {pictures}".format(
        price=price, total=total, pictures=plural(count, "picture")
    )


def compared(image: Image, job: Job | None) -> dict[str, str]:
    """All that may differ between two pictures, their words first."""
    words = {PROMPTS[0]: image.prompt}
    if job is not None and job.spec.negative_prompt:
        words[PROMPTS[1]] = job.spec.negative_prompt
    if job is not None and job.spec.image_sha256:
        words["Drawn over"] = f"picture {job.spec.image_sha256[:12]}"
    took = {name: value for name, value in account(image, job).items() if name != "Picture"}
    return words | settings(image, job) | origin(job) | took


def parameters_text(image: Image, job: Job) -> str:
    """The text that other programs read, as it stands in the picture's file."""
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
