"""Which back end draws which model."""

from __future__ import annotations

from collections.abc import Mapping

from services.backends.base import Backend, Notification


class UnreadableNotification(Exception):
    """A message that no back end recognizes. No retry will make it readable."""


class Backends:
    """The back ends of an installation, by model."""

    def __init__(self, offered: Mapping[str, Backend], *, former: Backend) -> None:
        """`offered` draw new jobs. `former` answers for the open jobs of models that are no longer offered."""
        self._offered = dict(offered)
        self._former = former

    @property
    def models(self) -> tuple[str, ...]:
        """The ids of the offered models."""
        return tuple(self._offered)

    @property
    def endpoints(self) -> dict[str, str]:
        """The endpoints' names, each with a model that it draws."""
        return {self.endpoint_of(model): model for model in self._offered}

    def endpoint_of(self, model: str) -> str:
        """The endpoint whose queue the model's jobs wait in; empty for a model that is not offered."""
        backend = self._offered.get(model)
        return "" if backend is None else backend.endpoint_of(model)

    def offered(self, model: str) -> Backend | None:
        """The back end that draws the model; None when the model is not offered here."""
        return self._offered.get(model)

    def of(self, model: str) -> Backend:
        """The back end that knows of the model's jobs, also of a model that was withdrawn."""
        return self._offered.get(model, self._former)

    def read_notification(self, body: str) -> Notification:
        """A message of the results queue, read by the back end that sent it. Raises UnreadableNotification."""
        for backend in self._each():
            if (notification := backend.read_notification(body)) is not None:
                return notification
        raise UnreadableNotification("the message names no job of this studio")

    def erase(self, user_id: str, job_id: str) -> int:
        """Erases what any back end keeps of a job whose model is not known any more; returns how many objects."""
        return sum(backend.erase(user_id, job_id) for backend in self._each())

    def _each(self) -> list[Backend]:
        """Every back end once, though it may draw several models."""
        return list({id(backend): backend for backend in (*self._offered.values(), self._former)}.values())
