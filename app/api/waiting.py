"""`Prefer: wait=N`: holds an answer until the job ends, on the event loop, for a bounded number of callers."""

from __future__ import annotations

import re
from collections.abc import Iterable

import anyio
from fastapi import Request

from app.api.authentication import Caller
from app.api.threads import in_thread
from services.errors import StudioError
from services.records import Job

MAX_WAIT_S = 60
MAX_WAITING = 200
POLL_S = 0.25
_WAIT = re.compile(r'wait\s*=\s*"?([0-9]{1,9})"?', re.IGNORECASE)


def preferred_wait_s(headers: Iterable[str]) -> int | None:
    """Returns the seconds in the `Prefer` headers, at most `MAX_WAIT_S`; None if missing or invalid.

    RFC 7240: a preference that cannot be met is ignored; the answer's `Preference-Applied` says what was.
    """
    for preference in ",".join(headers).split(","):
        match = _WAIT.fullmatch(preference.split(";")[0].strip())
        if match:
            return min(int(match[1]), MAX_WAIT_S) or None
    return None


class WaitingRoom:
    """Callers that wait for their job. Each polls the shared live map four times per second and needs no thread."""

    def __init__(self) -> None:
        self._waiting = 0

    @property
    def full(self) -> bool:
        """Whether no more callers can wait; further ones get an immediate response."""
        return self._waiting >= MAX_WAITING

    async def until_ended(self, request: Request, caller: Caller, job: Job, wait_s: float) -> Job:
        """Returns the job when it ends, on timeout, or when the caller disconnects.

        A failing look ends the wait with the job as last seen: it is running, and its answer must not be lost.
        """
        self._waiting += 1
        try:
            with anyio.move_on_after(wait_s):
                while not job.status.terminal and not await request.is_disconnected():
                    await anyio.sleep(POLL_S)
                    live = await in_thread(caller.studio.live.watch, caller.user, job.id)
                    if live.status.terminal:
                        job = await in_thread(caller.studio.jobs.get, caller.user, job.id)
        except StudioError:
            return job
        finally:
            self._waiting -= 1
        return job
