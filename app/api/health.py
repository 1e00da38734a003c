"""`/healthz`: whether this process is alive and ready; for load balancers, so cheap and without secrets."""

from __future__ import annotations

import logging
from collections.abc import Callable
from typing import TYPE_CHECKING

from starlette.requests import Request
from starlette.responses import JSONResponse
from starlette.routing import Route

from app.api.threads import beside_requests
from services.logs import event

if TYPE_CHECKING:
    from services.build import Studio

NO_STORE = {"Cache-Control": "no-store"}


def create_health_route(get_studio: Callable[[], Studio]) -> Route:
    """Returns the health route: 200 once the studio is built, 503 if it cannot be.

    Makes no AWS call: an unavailable service must not make the load balancer stop all tasks.
    """

    async def healthz(request: Request) -> JSONResponse:
        try:
            studio = await beside_requests(get_studio)
        except Exception as exc:  # noqa: BLE001 - a probe's answer is the edge; the log has the reason
            event("not_ready", level=logging.ERROR, exc=exc)
            return JSONResponse({"status": "unavailable", "ready": False}, 503, headers=NO_STORE)
        models = len(studio.catalogue.models())
        return JSONResponse({"status": "ok", "ready": True, "models": models}, headers=NO_STORE)

    return Route("/healthz", healthz, methods=["GET", "HEAD"])
