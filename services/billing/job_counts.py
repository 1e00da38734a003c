"""What a finished job adds to its day for later estimates: its speed and its overhead."""

from __future__ import annotations

from services.records import Job

MOST_BEYOND_S = 10.0
# Jobs of more pictures are counted as jobs of this many.
MOST_TOGETHER = 8


def speed(job: Job, gpu_s: float) -> dict[str, int]:
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
    """Returns the name of a sum over the jobs of `count` pictures."""
    return f"{name}_{min(count, MOST_TOGETHER)}"


def _denoising_share(job: Job) -> float:
    """Returns the share of the model's seconds that grows with the steps, 0 to 1; the rest occurs once per picture."""
    timings = job.timings
    if timings is None:
        return 1.0
    whole = timings.encode_text_s + timings.denoise_s + timings.decode_s
    return timings.denoise_s / whole if whole > 0 else 1.0


def beyond(job: Job, gpu_s: float) -> dict[str, int]:
    """Returns the overhead of a job that found its model awake, beyond the model's seconds; empty for any other job."""
    if job.estimate.cold_start_s > 0 or job.attempt != 1 or job.took_s is None:
        return {}
    # The delay of a lost notification predicts nothing about the next job.
    beyond_s = max(0.0, min(MOST_BEYOND_S, job.took_s - gpu_s))
    return {"beyond_ms": round(beyond_s * 1000), "beyond_jobs": 1}
