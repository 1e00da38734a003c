"""Measures the cost of many open pages watching a job: the share of one core used by the studio's process."""

from __future__ import annotations

import asyncio
import json
import os
import signal
import time
from collections import Counter
from pathlib import Path
from typing import Any

import websockets
from streamlit.proto.BackMsg_pb2 import BackMsg
from streamlit.proto.ForwardMsg_pb2 import ForwardMsg
from streamlit.web.server.starlette.starlette_app_utils import (
    generate_xsrf_token_string,
)

from app.ui.feed.poll_interval import LONG_AFTER_S
from bench.table import print_table
from bench.whole_studio import COOKIE, ask, model_pids, running_studio, sign_cookie

PAGES = 100
# Pages opened per second: people do not arrive all at once, and the watching is measured.
OPENED_A_SECOND = 4
MEASURED_S = 30.0
# The longest job that pocket accepts.
LONG = {"prompt": "a red apple", "steps": 50, "count": 4, "width": 192, "height": 192}


def measure(folder: Path) -> None:
    """Starts a studio, opens the pages, and prints the share without a job, with one, and with one after
    another."""
    with running_studio(folder / "home") as (url, home):
        person = json.loads((home / "credentials.json").read_text())["maker"]
        ask(url, person["api_key"], "POST", "/v1/jobs", {"prompt": "a rocket"}, wait_s=60)
        asyncio.run(_measure(url, home, person["api_key"]))


async def _measure(url: str, home: Path, api_key: str) -> None:
    cookie = sign_cookie(url, home, ask(url, api_key, "GET", "/v1/me"))
    studio = int(json.loads((home / "processes.json").read_text())["studio"][0])
    pages: list[Page] = []
    tasks: list[asyncio.Task[None]] = []
    try:
        for _ in range(PAGES):
            pages.append(Page(url, cookie))
            tasks.append(asyncio.create_task(pages[-1].live()))
            await asyncio.sleep(1 / OPENED_A_SECOND)
        await asyncio.sleep(10)
        rows = [await _row("no job", studio, pages)]
        slowing = asyncio.create_task(_slow_down(model_pids(home)))
        job = await asyncio.to_thread(ask, url, api_key, "POST", "/v1/jobs", LONG)
        await _show(pages)
        # A job is polled more often in its first seconds.
        await asyncio.sleep(LONG_AFTER_S)
        rows.append(await _row("one job, all the while", studio, pages))
        now = await asyncio.to_thread(ask, url, api_key, "GET", f"/v1/jobs/{job['id']}")
        slowing.cancel()
        if now["status"] != "processing" or not all(page.polls for page in pages):
            raise RuntimeError(f"some pages did not watch the job, or it was over too soon: {now['status']}")
        keeping = asyncio.create_task(_keep_drawing(url, api_key))
        await asyncio.sleep(5)
        await _show(pages)
        await asyncio.sleep(10)
        rows.append(await _row("one short job after the other", studio, pages))
        keeping.cancel()
    finally:
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)
    print_table(
        f"{PAGES} open pages, {MEASURED_S:.0f} s each",
        ["", "studio, % of one core (target 30)", "polls a page and second", "memory, MB"],
        rows,
    )


async def _show(pages: list[Page]) -> None:
    """Reruns the pages, so that they learn of a job made elsewhere."""
    for page in pages:
        await page.rerun()


async def _slow_down(pids: list[int]) -> None:
    """Lets the model run a tenth of the time, to imitate a larger model; restores full speed when canceled."""
    try:
        while True:
            for signal_, pause_s in ((signal.SIGSTOP, 0.45), (signal.SIGCONT, 0.05)):
                for pid in pids:
                    os.kill(pid, signal_)
                await asyncio.sleep(pause_s)
    finally:
        for pid in pids:
            os.kill(pid, signal.SIGCONT)


async def _row(name: str, pid: int, pages: list[Page]) -> list[str]:
    before, began, polls = _cpu_s(pid), time.monotonic(), Counter(page.polls for page in pages)
    counted = sum(number * times for number, times in polls.items())
    await asyncio.sleep(MEASURED_S)
    took = time.monotonic() - began
    share = (_cpu_s(pid) - before) / took
    polled = (sum(page.polls for page in pages) - counted) / took / len(pages)
    failed = [page.failure for page in pages if page.failure]
    if failed:
        raise RuntimeError(f"{len(failed)} pages failed, the first with: {failed[0]}")
    return [name, f"{share * 100:.0f}", f"{polled:.2f}", f"{_memory_mb(pid):.0f}"]


class Page:
    """One session: runs the first page and polls like the browser, each fragment at its own interval."""

    def __init__(self, url: str, cookie: str) -> None:
        self._url = url
        self._cookie = cookie
        self._socket: Any = None
        self._timers: dict[str, asyncio.Task[None]] = {}
        self._intervals_s: dict[str, float] = {}
        self.polls = 0
        self.failure = ""

    async def live(self) -> None:
        """Opens the page and keeps it open until canceled."""
        token = generate_xsrf_token_string()
        address = self._url.replace("http://", "ws://") + "/_stcore/stream"
        try:
            async with websockets.connect(
                address,
                additional_headers={"Cookie": f"{COOKIE}={self._cookie}; _streamlit_xsrf={token}"},
                origin=websockets.Origin(self._url),
                subprotocols=[websockets.Subprotocol("streamlit"), websockets.Subprotocol(token)],
                max_size=None,
                ping_interval=None,
            ) as self._socket:
                await self.rerun()
                async for raw in self._socket:
                    self._hear(ForwardMsg.FromString(raw))
        except (OSError, websockets.WebSocketException) as exc:
            self.failure = f"{type(exc).__name__}: {exc}"
        finally:
            for timer in self._timers.values():
                timer.cancel()

    def _hear(self, message: ForwardMsg) -> None:
        kind = message.WhichOneof("type")
        if kind == "stop_auto_rerun":
            for fragment in message.stop_auto_rerun.fragment_ids:
                self._intervals_s.pop(fragment, None)
                if timer := self._timers.pop(fragment, None):
                    timer.cancel()
        elif kind == "auto_rerun":
            fragment, interval_s = message.auto_rerun.fragment_id, message.auto_rerun.interval
            if self._intervals_s.get(fragment) == interval_s:
                return
            self._intervals_s[fragment] = interval_s
            if known := self._timers.get(fragment):
                known.cancel()
            self._timers[fragment] = asyncio.create_task(self._poll(fragment, interval_s))
        elif kind == "delta" and message.delta.new_element.WhichOneof("type") == "exception":
            self.failure = message.delta.new_element.exception.message

    async def _poll(self, fragment: str, interval_s: float) -> None:
        while True:
            await asyncio.sleep(interval_s)
            self.polls += 1
            await self.rerun(fragment)

    async def rerun(self, fragment: str = "") -> None:
        """Requests a run of the page, or of one fragment as its timer does."""
        message = BackMsg()
        message.rerun_script.query_string = ""
        if fragment:
            message.rerun_script.fragment_id = fragment
            message.rerun_script.is_auto_rerun = True
        await self._socket.send(message.SerializeToString())


async def _keep_drawing(url: str, api_key: str) -> None:
    """Keeps a job running: submits another when one ends."""
    while True:
        job = await asyncio.to_thread(ask, url, api_key, "POST", "/v1/jobs", LONG)
        while job["status"] not in {"succeeded", "failed", "canceled", "expired"}:
            await asyncio.sleep(1)
            job = await asyncio.to_thread(ask, url, api_key, "GET", f"/v1/jobs/{job['id']}")


def _cpu_s(pid: int) -> float:
    """Return the CPU seconds used by the process."""
    fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")


def _memory_mb(pid: int) -> float:
    pages = int(Path(f"/proc/{pid}/statm").read_text().split()[1])
    return pages * os.sysconf("SC_PAGE_SIZE") / 1e6
