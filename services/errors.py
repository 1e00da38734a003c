"""The studio's errors: one tree, each class saying whose fault it is and whether asking again helps.

StudioError
├── InvalidRequest        400/422  the caller's input; `param` names the field
│   └── Moderated         422      refused before any GPU ran; carries rule, category and span
├── NotSignedIn           401
├── NotAllowed            403      only an admin may
├── NotFound              404      also what a foreign id looks like
├── Conflict              409
│   └── IdempotencyInFlight 409    the same key is being worked on right now; retry helps
├── IdempotencyMismatch   422      the same key with another body
├── LimitReached          429      quota, budget or open jobs; `retry_after_s` where waiting helps
├── BadOutput             5xx      the model's answer is unusable; the job fails and is refunded
└── Unavailable           503      a dependency throttles or is away; retry helps
    └── InvokeUncertain            the answer to an invocation was lost; it may have been accepted
"""

from __future__ import annotations


class StudioError(Exception):
    """Root of all expected failures. `code` is stable and machine-readable, the message is for people."""

    status = 500
    code = "internal"
    retryable = False

    def __init__(self, message: str, *, code: str | None = None) -> None:
        super().__init__(message)
        self.message = message
        if code is not None:
            self.code = code


class InvalidRequest(StudioError):
    """The input was wrong; `param` names the field to change."""

    status = 422
    code = "invalid_request"

    def __init__(self, message: str, *, param: str | None = None, code: str | None = None) -> None:
        super().__init__(message, code=code)
        self.param = param


class Moderated(InvalidRequest):
    """The prompt breaks a rule of the studio. `span` is (start, end) in the text as the user typed it."""

    code = "moderated"

    def __init__(self, message: str, *, param: str, rule: str, category: str, span: tuple[int, int]) -> None:
        super().__init__(message, param=param)
        self.rule = rule
        self.category = category
        self.span = span


class NotSignedIn(StudioError):
    """No credential, or one that is expired, forged or of the wrong type."""

    status = 401
    code = "not_signed_in"


class NotAllowed(StudioError):
    """The caller's role does not allow the operation."""

    status = 403
    code = "not_allowed"


class NotFound(StudioError):
    """It does not exist or belongs to another user; the caller cannot tell the two apart."""

    status = 404
    code = "not_found"


class Conflict(StudioError):
    """The current state does not allow the operation."""

    status = 409
    code = "conflict"


class IdempotencyInFlight(Conflict):
    """A request with the same Idempotency-Key is in progress; retry shortly."""

    code = "idempotency_in_flight"
    retryable = True
    retry_after_s = 1


class IdempotencyMismatch(StudioError):
    """The same Idempotency-Key was used with another body."""

    status = 422
    code = "idempotency_mismatch"


class LimitReached(StudioError):
    """A quota or budget would be exceeded. `retry_after_s` is None if waiting does not help."""

    status = 429
    code = "limit_reached"

    def __init__(self, message: str, *, code: str | None = None, retry_after_s: int | None = None) -> None:
        super().__init__(message, code=code)
        self.retry_after_s = retry_after_s
        self.retryable = retry_after_s is not None


class BadOutput(StudioError):
    """The model's answer is not the requested pictures."""

    code = "bad_output"


class Unavailable(StudioError):
    """A dependency is throttling or unreachable; the same request may succeed later."""

    status = 503
    code = "unavailable"
    retryable = True

    def __init__(self, message: str, *, code: str | None = None, retry_after_s: int = 5) -> None:
        super().__init__(message, code=code)
        self.retry_after_s = retry_after_s


class InvokeUncertain(Unavailable):
    """The answer to an invocation was lost: the endpoint may or may not have accepted it."""

    code = "invoke_uncertain"
