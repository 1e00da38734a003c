"""The content security policy and other security headers."""

from __future__ import annotations

import base64
import hashlib
import re
from collections.abc import Iterable
from pathlib import Path

from starlette.datastructures import MutableHeaders
from starlette.types import ASGIApp, Message, Receive, Scope, Send

INLINE_SCRIPT = re.compile(r"<script>(.*?)</script>", re.DOTALL)


def script_hashes(html: Path) -> tuple[str, ...]:
    """CSP sources (`'sha256-...'`) of the inline scripts of an HTML file."""
    scripts = INLINE_SCRIPT.findall(html.read_text(encoding="utf-8"))
    digests = (hashlib.sha256(script.encode("utf-8")).digest() for script in scripts)
    return tuple(f"'sha256-{base64.b64encode(digest).decode('ascii')}'" for digest in digests)


def content_security_policy(*, scripts: Iterable[str], image_origin: str) -> str:
    """Returns the policy that lets Streamlit's pages work and blocks fetches from other sites.

    `scripts` are hash sources of inline scripts, `image_origin` is scheme and host of presigned links.
    """
    # 'wasm-unsafe-eval' and blob: are Streamlit's data grid and version 2 components.
    script_src = " ".join(["script-src 'self'", *scripts, "'wasm-unsafe-eval' blob:"])
    return "; ".join(
        [
            "default-src 'self'",
            script_src,
            "style-src 'self' 'unsafe-inline'",
            f"img-src 'self' data: blob: {image_origin}",
            "font-src 'self' data:",
            "connect-src 'self'",
            "worker-src 'self' blob:",
            "object-src 'none'",
            "base-uri 'self'",
            "form-action 'self'",
            "frame-ancestors 'none'",
        ]
    )


class SecurityHeaders:
    """Adds the headers to every response; keeps headers that a route set itself."""

    def __init__(self, app: ASGIApp, *, policy: str, https: bool) -> None:
        self.app = app
        self.policy = policy
        self.https = https

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http":
            await self.app(scope, receive, send)
            return

        async def send_with_headers(message: Message) -> None:
            if message["type"] == "http.response.start":
                headers = MutableHeaders(scope=message)
                headers.setdefault("content-security-policy", self.policy)
                headers.setdefault("x-content-type-options", "nosniff")
                # same-origin: presigned links and the sign-in host never receive a URL of the studio, while the
                # sign-in route still learns which page to come back to.
                headers.setdefault("referrer-policy", "same-origin")
                headers.setdefault("x-frame-options", "DENY")
                headers.setdefault(
                    "permissions-policy", "camera=(), microphone=(), geolocation=(), payment=()"
                )
                headers.setdefault("cross-origin-opener-policy", "same-origin")
                if self.https:
                    headers.setdefault("strict-transport-security", "max-age=31536000; includeSubDomains")
            await send(message)

        await self.app(scope, receive, send_with_headers)
