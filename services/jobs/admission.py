"""Turns a request into a priced, allowed job: resolves its model's card, moderates it, and estimates it."""

from __future__ import annotations

from datetime import datetime, timedelta

from services.backends.endpoint_status import EndpointStatus
from services.billing.estimates import Estimator
from services.catalogue.cards import Catalogue
from services.errors import (
    InvalidRequest,
)
from services.jobs.inputs import Inputs
from services.moderation.rules import Moderation
from services.records import (
    EndpointState,
    Estimate,
    JobRequest,
    JobSpec,
    When,
)
from services.sentences import sentence

# How long a job may wait for somebody else to wake its model.
MIN_WITHIN_S = 60
MAX_WITHIN_S = 24 * 3600
DEFAULT_WITHIN_S = 6 * 3600


class Admission:
    """Resolves, moderates, and prices requests before they become jobs."""

    def __init__(
        self,
        catalogue: Catalogue,
        moderation: Moderation,
        estimator: Estimator,
        endpoints: EndpointStatus,
        pictures: Inputs,
    ) -> None:
        self._catalogue = catalogue
        self._moderation = moderation
        self._estimator = estimator
        self._endpoints = endpoints
        self.inputs = pictures

    def resolve(self, request: JobRequest) -> JobSpec:
        """Returns the request with every value filled in; does not look at its pictures. Raises InvalidRequest,
        Moderated.
        """
        spec = self._catalogue.resolve(request)
        check_wait(request)
        self._moderation.check(spec.prompt, param="prompt")
        return spec

    def estimate(self, spec: JobSpec, *, together: int = 1) -> Estimate:
        """Returns the price and time of the request now, as one of `together`."""
        return self._estimator.estimate(spec, self._endpoints.state(spec.model).state, together=together)

    def estimate_awake(self, spec: JobSpec) -> Estimate:
        """Returns the price and time of the request if the model is awake."""
        return self._estimator.estimate(spec, EndpointState.READY)

    def price(self, request: JobRequest, *, together: int = 1) -> Estimate:
        """Returns the price and time of a request that may not have a prompt yet, as one of `together`. Raises
        InvalidRequest.
        """
        spec = self._catalogue.resolve(request.model_copy(update={"prompt": request.prompt.strip() or "-"}))
        state = EndpointState.READY if request.when is When.WARM else self._endpoints.state(spec.model).state
        return self._estimator.estimate(spec, state, together=together)

    def held_until(self, request: JobRequest, model: str, at: datetime) -> datetime | None:
        """Returns how long a request made at `at` waits for its model to be awake, or None if it does not wait.

        One AWS call for a request that would wait.
        """
        if request.when is When.NOW or self._endpoints.fresh(model).state is EndpointState.READY:
            return None
        return at + timedelta(seconds=DEFAULT_WITHIN_S if request.within_s is None else request.within_s)


def check_wait(request: JobRequest) -> None:
    """Raises InvalidRequest if the request's options for waiting contradict each other."""
    if request.within_s is None:
        return
    if request.when is When.NOW:
        raise InvalidRequest(
            "`within_s` says how long to wait for the model; it goes with `when`: `warm`.", param="within_s"
        )
    if not MIN_WITHIN_S <= request.within_s <= MAX_WITHIN_S:
        raise InvalidRequest(
            sentence(
                "The job is to wait {seconds} seconds at most; {least} to {most} are possible.",
                seconds=request.within_s,
                least=MIN_WITHIN_S,
                most=MAX_WITHIN_S,
            ),
            param="within_s",
        )
