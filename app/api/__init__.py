"""The REST API for programs, mounted at `/v1` by `app/asgi.py`."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING

from fastapi import FastAPI

from app.api import account, images, jobs, openapi, problems
from app.api.authentication import Authenticator
from app.api.health import create_health_route
from app.api.presenters import PREFIX
from app.api.query_limits import QueryLimits
from app.api.waiting import WaitingRoom

if TYPE_CHECKING:
    from services.build import Studio

__all__ = ["create_api", "create_health_route"]


def create_api(get_studio: Callable[[], Studio]) -> FastAPI:
    """The API as an ASGI application to mount at `/v1`. Connects to nothing; `get_studio` is called by requests.

    It has no API browser page, because those load scripts from other sites.
    """
    api = FastAPI(title=openapi.TITLE, docs_url=None, redoc_url=None, redirect_slashes=False)
    api.router.redirect_slashes = False
    api.state.authenticator = Authenticator(get_studio)
    api.state.waiting_room = WaitingRoom()
    for part in (jobs, images, account):
        api.include_router(part.router)
    api.add_middleware(QueryLimits)
    problems.install(api)
    openapi.install(api, server=PREFIX)
    return api
