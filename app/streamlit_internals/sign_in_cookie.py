"""The claims in Streamlit's signed sign-in cookie, for requests outside of a page's run.

Remove when Streamlit has a public way to read `st.user` from a request.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Any

from streamlit.web.server.starlette.starlette_server_config import USER_COOKIE_NAME
from streamlit.web.server.starlette.starlette_websocket import _get_signed_cookie_with_chunks


def claims_of(cookies: Mapping[str, str]) -> dict[str, Any]:
    """Returns the claims; none for a visitor without a cookie that this server signed."""
    signed = _get_signed_cookie_with_chunks(dict(cookies), USER_COOKIE_NAME)
    try:
        claims = json.loads(signed) if signed else {}
    except (ValueError, RecursionError):
        return {}
    return claims if isinstance(claims, dict) and claims.get("is_logged_in") else {}
