"""The container program: starts it on demand, checks its health, and stops or kills it without leaving processes."""

from __future__ import annotations

import asyncio
import contextlib
import os
import signal
import socket
import sys
from collections import deque
from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass
from enum import StrEnum
from pathlib import Path

import httpx

from local.sagemaker.config import REPOSITORY
from local.sagemaker.log import event, write

PING_TIMEOUT_S = 2.0
PING_INTERVAL_S = 0.1
CONNECT_TIMEOUT_S = 5.0
RESTART_PAUSE_S = 0.5
REASON_CHARS = 300
LINE_BYTES = 1_048_576


class StartFailed(Exception):
    """The container program failed to start in all attempts; the message says why."""


class Unreachable(Exception):
    """The connection was not established, so the request was certainly not received."""


class BrokenAnswer(Exception):
    """The connection ended before the response was complete, or the response was malformed."""


class State(StrEnum):
    """The state of the program."""

    STOPPED = "stopped"
    STARTING = "starting"
    READY = "ready"
    STOPPING = "stopping"


@dataclass(frozen=True)
class Program:
    """The program to run. `command[0]` is looked up in PATH if it contains no slash."""

    name: str
    command: tuple[str, ...]
    model_dir: Path
    port: int
    start_timeout_s: float
    start_attempts: int
    stop_grace_s: float


@dataclass(frozen=True)
class Answer:
    """A complete response of the container."""

    status: int
    headers: Mapping[str, str]
    body: bytes


class Container:
    """Runs at most one process of the program at a time."""

    def __init__(self, program: Program, on_cold_start: Callable[[], Awaitable[None]]) -> None:
        self._program = program
        self._on_cold_start = on_cold_start
        self._process: asyncio.subprocess.Process | None = None
        self._pump: asyncio.Task[None] | None = None
        self._tail: deque[str] = deque(maxlen=20)
        self._turn = asyncio.Lock()
        self._ready = False
        self._stopping = False
        self._port = program.port
        self._client: httpx.AsyncClient | None = None
        self._starting: asyncio.Task[int] | None = None
        self._last_exit: tuple[int, int | None] = (0, None)

    @property
    def state(self) -> State:
        """The current state of the program."""
        if self._process is None or self._process.returncode is not None:
            return State.STARTING if self._turn.locked() and not self._stopping else State.STOPPED
        if self._stopping:
            return State.STOPPING
        return State.READY if self._ready else State.STARTING

    @property
    def pid(self) -> int | None:
        """The process id while the program runs, otherwise None."""
        return self._process.pid if self._process and self._alive() else None

    async def ensure_ready(self) -> int:
        """Starts the program if needed and returns its process id once /ping succeeds. Raises StartFailed."""
        if self._process and self._ready and self._alive():
            return self._process.pid
        if self._starting is None or self._starting.done():
            self._starting = asyncio.create_task(self._bring_up())
            self._starting.add_done_callback(_retrieve)
        # Shared and shielded: a caller that gives up does not cancel the start for the others.
        return await asyncio.shield(self._starting)

    async def invoke(self, body: bytes, headers: Mapping[str, str], timeout_s: float) -> Answer:
        """Sends one POST /invocations. Raises Unreachable, BrokenAnswer, or TimeoutError after `timeout_s`."""
        if self._client is None:
            raise Unreachable("the container program is not running")
        try:
            async with asyncio.timeout(timeout_s):
                response = await self._client.post("/invocations", content=body, headers=dict(headers))
        except (httpx.ConnectError, httpx.ConnectTimeout) as exc:
            raise Unreachable(str(exc) or "connection refused") from exc
        except httpx.HTTPError as exc:
            raise BrokenAnswer(str(exc) or type(exc).__name__) from exc
        if "content-length" not in response.headers:
            # Without a length, a truncated response looks complete.
            raise BrokenAnswer("the container's answer carries no Content-Length")
        return Answer(response.status_code, response.headers, response.content)

    async def exit_status(self, pid: int, within_s: float) -> int | None:
        """Return the exit status of process `pid` (negative: signal number), or None if it outlives `within_s`."""
        process = self._process
        if process is None or process.pid != pid:
            return self._last_exit[1] if self._last_exit[0] == pid else None
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(within_s):
                await process.wait()
        return process.returncode

    async def stop(self, grace_s: float | None = None) -> None:
        """Sends SIGTERM, and SIGKILL after the grace time; waits for the process. Cancels a start in progress."""
        if self._starting and not self._starting.done():
            self._starting.cancel()
            await asyncio.gather(self._starting, return_exceptions=True)
        async with self._turn:
            await self._end(self._program.stop_grace_s if grace_s is None else grace_s)

    async def kill(self, pid: int) -> None:
        """Sends SIGKILL if `pid` is still the running process (another invocation may have replaced it)."""
        async with self._turn:
            if self.pid == pid:
                await self._end(0)

    async def _bring_up(self) -> int:
        async with self._turn:
            reason = ""
            for attempt in range(1, self._program.start_attempts + 1):
                if attempt > 1:
                    await asyncio.sleep(RESTART_PAUSE_S * attempt)
                try:
                    return await self._start()
                except StartFailed as exc:
                    reason = str(exc)
                    event("start_failed", endpoint=self._program.name, attempt=attempt, reason=reason)
            raise StartFailed(
                f"The container program did not start (attempts: {self._program.start_attempts}): {reason}"
            )

    async def _start(self) -> int:
        await self._end(0)
        self._tail.clear()
        self._port = _free_port(self._program.port)
        await self._on_cold_start()
        event("starting", endpoint=self._program.name, port=self._port)
        try:
            self._process = await asyncio.create_subprocess_exec(
                sys.executable,
                "-SEs",
                str(Path(__file__).with_name("tether.py")),
                str(os.getpid()),
                *self._program.command,
                cwd=REPOSITORY,
                env={
                    **os.environ,
                    "INFERENCE_HOST": "127.0.0.1",
                    "INFERENCE_PORT": str(self._port),
                    "INFERENCE_MODEL_DIR": str(self._program.model_dir),
                },
                stdin=asyncio.subprocess.DEVNULL,
                stdout=asyncio.subprocess.PIPE,
                stderr=asyncio.subprocess.STDOUT,
                start_new_session=True,
                limit=LINE_BYTES,
            )
        except OSError as exc:
            raise StartFailed(f"{self._program.command[0]}: {exc.strerror}") from exc
        self._pump = asyncio.create_task(self._read_output(self._process))
        self._client = httpx.AsyncClient(
            base_url=f"http://127.0.0.1:{self._port}",
            timeout=httpx.Timeout(None, connect=CONNECT_TIMEOUT_S),
            trust_env=False,
            limits=httpx.Limits(max_keepalive_connections=0),
        )
        try:
            async with asyncio.timeout(self._program.start_timeout_s):
                await self._until_well(self._process, self._client)
        except TimeoutError as exc:
            await self._end(0)
            raise StartFailed(
                f"/ping did not answer 200 within {self._program.start_timeout_s:g} s{self._last_line()}"
            ) from exc
        except BaseException:
            await self._end(0)
            raise
        self._ready = True
        event("ready", endpoint=self._program.name, pid=self._process.pid)
        return self._process.pid

    async def _until_well(self, process: asyncio.subprocess.Process, client: httpx.AsyncClient) -> None:
        while True:
            if process.returncode is not None:
                if self._pump:
                    await self._pump
                raise StartFailed(f"it ended with status {process.returncode}{self._last_line()}")
            with contextlib.suppress(httpx.HTTPError):
                answer = await client.get("/ping", timeout=PING_TIMEOUT_S)
                if answer.status_code == httpx.codes.OK and process.returncode is None:
                    return
            await asyncio.sleep(PING_INTERVAL_S)

    async def _end(self, grace_s: float) -> None:
        process, self._ready = self._process, False
        if process is None:
            return
        self._stopping = True
        try:
            if process.returncode is None and grace_s > 0:
                _signal_group(process.pid, signal.SIGTERM)
                with contextlib.suppress(TimeoutError):
                    async with asyncio.timeout(grace_s):
                        await process.wait()
            # Signal the group even if the program has ended, so that its children end too.
            _signal_group(process.pid, signal.SIGKILL)
            await process.wait()
        finally:
            self._stopping = False
        # Cleared first, so that no request starts on a client that is being closed.
        pump, client = self._pump, self._client
        self._process, self._pump, self._client = None, None, None
        self._last_exit = (process.pid, process.returncode)
        if pump:
            pump.cancel()
            await asyncio.gather(pump, return_exceptions=True)
        if client:
            await client.aclose()
        event("stopped", endpoint=self._program.name, pid=process.pid, status=process.returncode)

    async def _read_output(self, process: asyncio.subprocess.Process) -> None:
        if process.stdout is None:
            return
        while True:
            try:
                line = await process.stdout.readline()
            except ValueError:
                # The line exceeds the buffer: asyncio has dropped it; continue with the next one.
                continue
            if not line:
                return
            text = line.decode(errors="replace").rstrip()
            if text:
                self._tail.append(text)
            write(text)

    def _last_line(self) -> str:
        return f"; it last said: {self._tail[-1][:REASON_CHARS]}" if self._tail else ""

    def _alive(self) -> bool:
        return self._process is not None and self._process.returncode is None


def _retrieve(start: asyncio.Task[int]) -> None:
    # Marks the exception as retrieved when no caller is left; it has already been logged.
    if not start.cancelled():
        start.exception()


def _signal_group(pid: int, number: signal.Signals) -> None:
    with contextlib.suppress(ProcessLookupError, PermissionError):
        os.killpg(pid, number)


def _free_port(wanted: int) -> int:
    # Another program listening on the wanted port would answer /ping instead.
    for port in (wanted, 0):
        with socket.socket() as probe:
            probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            try:
                probe.bind(("127.0.0.1", port))
            except OSError:
                continue
            return int(probe.getsockname()[1])
    raise StartFailed(f"port {wanted} is taken, and no other is free")
