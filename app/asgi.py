"""The ASGI application: Streamlit's pages, `/v1`, `/healthz`, and the middleware.

Started as `streamlit run app/asgi.py` from the repository root: under another server some of Streamlit's options
from the environment (usage statistics among them) are not honored.
"""

from __future__ import annotations

import sys
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

ROOT = Path(__file__).resolve().parent.parent
if str(ROOT) not in sys.path:
    # `streamlit run` puts the folder of this file on the path, not the root with `app` and `services`.
    sys.path.insert(0, str(ROOT))

import streamlit as st  # noqa: E402
from starlette.middleware import Middleware  # noqa: E402
from starlette.requests import Request  # noqa: E402
from starlette.responses import FileResponse, RedirectResponse, Response  # noqa: E402
from starlette.routing import Mount, Route  # noqa: E402

from app.api import create_api, create_health_route  # noqa: E402
from app.api.outer_problems import OuterProblems  # noqa: E402
from app.auth import visitor  # noqa: E402
from app.auth.session import studio  # noqa: E402
from app.hosting import local_sign_in_routes, middleware, pin_options, sign_in_secrets  # noqa: E402
from app.middleware.session_doors import SessionDoors  # noqa: E402
from app.middleware.socket_limits import MOST_MESSAGE_BYTES, SocketLimits  # noqa: E402
from app.share_page import create_share_route  # noqa: E402
from app.streamlit_internals.garbage import collect_seldom  # noqa: E402
from app.streamlit_internals.incoming_messages import install as install_incoming_messages  # noqa: E402
from app.streamlit_internals.log_handlers import install as install_log_handlers  # noqa: E402
from app.streamlit_internals.no_delay import install as install_no_delay  # noqa: E402
from app.streamlit_internals.request_timeouts import install as install_request_timeouts  # noqa: E402
from app.streamlit_internals.script_requests import install as install_script_requests  # noqa: E402
from app.streamlit_internals.session_files import SessionFiles  # noqa: E402
from app.streamlit_internals.session_files import install as install_session_files  # noqa: E402
from app.streamlit_internals.theme_message import install as install_theme_message  # noqa: E402
from app.ui.common.error_boundary import show_uncaught  # noqa: E402
from services.logs import configure  # noqa: E402
from services.settings import SettingsError, load_settings  # noqa: E402

try:
    settings = load_settings()
except SettingsError as exc:
    raise SystemExit(str(exc)) from exc

configure(settings.log_level)
install_log_handlers()
pin_options(settings)
install_request_timeouts()
install_no_delay()
install_incoming_messages(MOST_MESSAGE_BYTES)
install_script_requests()
install_theme_message()
install_session_files()


async def favicon(request: Request) -> Response:
    """Shows the studio's icon in the tab from the first byte on, instead of Streamlit's until the script has run."""
    return FileResponse(ROOT / "app" / "assets" / "favicon.png", media_type="image/png")


@asynccontextmanager
async def lifespan(_: st.App) -> AsyncIterator[dict[str, Any]]:
    """Builds the services before the first request, so that a mistake stops the start; ends their threads on exit."""
    wired = studio()
    collect_seldom()
    try:
        yield {}
    finally:
        wired.close()


app = st.App(
    ROOT / "streamlit_app.py",
    secrets=sign_in_secrets(settings),
    routes=[
        Mount("/v1", app=create_api(studio)),
        # Without the slash, the mount does not match and Streamlit would serve its page.
        Route("/v1", RedirectResponse("/v1/", status_code=308)),
        create_health_route(studio),
        create_share_route(studio),
        Route("/favicon.png", favicon),
        *local_sign_in_routes(settings, studio),
    ],
    middleware=[
        *middleware(settings),
        Middleware(OuterProblems),
        Middleware(SocketLimits, named=lambda cookies: visitor.named(studio(), cookies)),
        Middleware(
            SessionDoors,
            files=SessionFiles(),
            named=lambda cookies: visitor.named(studio(), cookies),
            signed_in=lambda cookies: visitor.signed_in(studio(), cookies),
        ),
    ],
    lifespan=lifespan,
    on_script_error=show_uncaught,
)
