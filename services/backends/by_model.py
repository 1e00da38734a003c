"""Which back end draws which model."""

from __future__ import annotations

from collections.abc import Mapping

from services.backends.base import Backend, Notification


class UnreadableNotification(Exception):
    """A message that no back end recognizes. No retry will make it readable."""


class Backends:
    """The installation's back ends, by model."""

    def __init__(self, offered: Mapping[str, Backend], *, former: Backend) -> None:
        """`offered` back ends draw new jobs. `former` serves open jobs of models that are no longer offered."""
        self._offered = dict(offered)
        self._former = former

    @property
    def models(self) -> tuple[str, ...]:
        """The ids of the offered models."""
        return tuple(self._offered)

    @property
    def endpoints(self) -> dict[str, str]:
        """The endpoints' names, each with one of its models."""
        return {self.endpoint_of(model): model for model in self._offered}

    def endpoint_of(self, model: str) -> str:
        """Returns the endpoint whose queue the model's jobs wait in; empty if the model is not offered."""
        backend = self._offered.get(model)
        return "" if backend is None else backend.endpoint_of(model)

    def offered(self, model: str) -> Backend | None:
        """Returns the back end that draws the model; None if the model is not offered."""
        return self._offered.get(model)

    def of(self, model: str) -> Backend:
        """Returns the back end of the model's jobs, also for a withdrawn model."""
        return self._offered.get(model, self._former)

    def read_notification(self, body: str) -> Notification:
        """Parses a message of the results queue with the back end that sent it. Raises UnreadableNotification."""
        for backend in self._each():
            if (notification := backend.read_notification(body)) is not None:
                return notification
        raise UnreadableNotification("the message names no job of this studio")

    def erase(self, user_id: str, job_id: str) -> int:
        """Erases what any back end stores for a job of an unknown model; returns the number of objects."""
        return sum(backend.erase(user_id, job_id) for backend in self._each())

    def _each(self) -> list[Backend]:
        """Yields every back end once, even if it draws several models."""
        return list({id(backend): backend for backend in (*self._offered.values(), self._former)}.values())
