"""The errors of an invocation: each class carries the status, the code, and the advice for the answer.

InferenceError
├── InvalidRequest   400 (403, 405, 408, 413, 415)  the caller's input; `param` names the field to change
├── Busy             503 + Retry-After    the queue is full; a retry helps
├── ShuttingDown     503 + Retry-After    this server is stopping; another one will answer a retry
├── ModelError       500                  the model failed on this request; later ones are served
├── OutOfMemory      507                  the request does not fit into memory; a smaller one can
└── DeadlineExceeded 504                  the request's deadline has passed; its pictures are no longer wanted
"""

from __future__ import annotations


class InferenceError(Exception):
    """Root of all answers without pictures. The message tells people what to change."""

    status = 500
    code = "model_error"

    def __init__(
        self,
        message: str,
        *,
        param: str | None = None,
        status: int | None = None,
        retry_after_s: int | None = None,
    ) -> None:
        super().__init__(message)
        self.message = message
        self.param = param
        self.retry_after_s = retry_after_s
        if status is not None:
            self.status = status


class InvalidRequest(InferenceError):
    """The request breaks the contract or the model's limits; repeating it unchanged never helps."""

    status = 400
    code = "invalid_request"


class Busy(InferenceError):
    """The queue is full; `retry_after_s` is an estimate from recent requests."""

    status = 503
    code = "busy"


class ShuttingDown(InferenceError):
    """The server stopped before this request was finished; none of its work is kept."""

    status = 503
    code = "shutting_down"


class ModelError(InferenceError):
    """The model raised an exception, or produced something that is not a picture."""

    status = 500
    code = "model_error"


class OutOfMemory(InferenceError):
    """The request needs more memory than the device has; its memory has been freed."""

    status = 507
    code = "out_of_memory"


class DeadlineExceeded(InferenceError):
    """`deadline_s` passed before the pictures were finished; drawing was stopped or never begun."""

    status = 504
    code = "deadline_exceeded"


class StartError(Exception):
    """The server cannot start: settings or model folder are wrong. The message names the problem and its place."""
