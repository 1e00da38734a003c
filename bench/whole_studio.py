"""A whole studio as started by `make run`, for benchmarks from outside: its address, API and sign-in."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any
from uuid import UUID

import httpx
from streamlit.web.server.starlette.starlette_app_utils import create_signed_value

from local.processes import ROOT, STUDIO_PYTHON, any_free_port

READY_S = 180.0
COOKIE = "_streamlit_user"


def sign_cookie(url: str, home: Path, me: dict[str, Any]) -> str:
    """Return the cookie that this person's sign-in would set, signed with the studio's secret."""
    now = int(time.time())
    claims = {
        "sub": str(UUID(me["id"])),
        "email": me["email"],
        "auth_time": now,
        "exp": now + 3600,
        "origin": url,
        "is_logged_in": True,
    }
    secret = json.loads((home / "secrets.json").read_text())["cookie_secret"]
    return create_signed_value(secret, COOKIE, json.dumps(claims)).decode()


def ask(
    url: str, api_key: str, method: str, path: str, body: Any = None, *, wait_s: int | None = None
) -> dict[str, Any]:
    """Calls `/v1` and returns its JSON; raises httpx.HTTPStatusError for 4xx and 5xx."""
    headers = {"Authorization": f"Bearer {api_key}"}
    if wait_s:
        headers["Prefer"] = f"wait={wait_s}"
    answer = httpx.request(method, f"{url}{path}", json=body, headers=headers, timeout=90)
    given: dict[str, Any] = answer.raise_for_status().json()
    return given


def model_pids(home: Path) -> list[int]:
    """Return the process ids of the model server of the studio in `home`. Raises RuntimeError when none runs."""
    found = []
    for entry in Path("/proc").iterdir():
        try:
            ours = f"ATELIER_HOME={home}".encode() in (entry / "environ").read_bytes().split(b"\0")
            if entry.name.isdecimal() and ours and b"inference.serve" in (entry / "cmdline").read_bytes():
                found.append(int(entry.name))
        except OSError:
            # It has ended or belongs to another user.
            continue
    if not found:
        raise RuntimeError("no model server runs")
    return found


@contextmanager
def running_studio(home: Path) -> Iterator[tuple[str, Path]]:
    """Runs a studio as `make run` starts it, on a free port."""
    port, log = any_free_port(), home.with_suffix(".log")
    with open(log, "wb") as output:
        process = subprocess.Popen(
            [STUDIO_PYTHON, "-m", "local.run", "--leash"],
            cwd=ROOT,
            env={**os.environ, "PORT": str(port), "ATELIER_HOME": str(home)},
            stdin=subprocess.DEVNULL,
            stdout=output,
            stderr=subprocess.STDOUT,
            start_new_session=True,
        )
    try:
        deadline = time.monotonic() + READY_S
        while "Atelier is ready" not in log.read_text():
            if process.poll() is not None or time.monotonic() > deadline:
                raise RuntimeError(f"the studio did not start; see {log}")
            time.sleep(0.2)
        yield f"http://localhost:{port}", home
    finally:
        process.send_signal(signal.SIGINT)
        process.wait(60)
