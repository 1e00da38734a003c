"""Why jobs fail: the stable codes in their records, and the message for each."""

from __future__ import annotations

from services.records import JobFailure
from services.sentences import Sentence, sentence

# Reported by the model's container, or inferred from how it ended. `{message}` is its own text.
REASONS: dict[str, Sentence] = {
    "invalid_request": sentence("The model refused the request: {message}"),
    "model_error": sentence("The model failed while drawing. Try again, or with another seed."),
    "out_of_memory": sentence(
        "The picture is too large for the model's memory. Ask for a smaller one or fewer."
    ),
    "busy": sentence("The endpoint was too busy for too long. Try again later."),
    "shutting_down": sentence("The endpoint was stopped in the middle of the job. Try again."),
    "deadline_exceeded": sentence(
        "The model took too long and was stopped. Try fewer steps or a smaller picture."
    ),
    "timeout": sentence("The model took too long and was stopped. Try fewer steps or a smaller picture."),
}
# Detected by the studio.
FAILURES: dict[str, Sentence] = REASONS | {
    "model_crashed": sentence(
        "The model stopped without an answer. Try again; tell the admin if it happens again."
    ),
    "model_withdrawn": sentence("This model is no longer offered here. Choose another; nothing was charged."),
    "input_lost": sentence(
        "The picture to draw over is no longer there. Send it again; nothing was charged."
    ),
    "endpoint_refused": sentence(
        "The model's endpoint does not take this job. Tell the admin; nothing was charged."
    ),
    "expired": sentence("The job did not finish in time and was given up; nothing was charged. Try again."),
}


def job_failure(code: str, *, message: str = "") -> JobFailure:
    """Returns the failure with one of the codes above; `message` is the model's own text."""
    return JobFailure(code=code, message=FAILURES[code].replace("{message}", message))
